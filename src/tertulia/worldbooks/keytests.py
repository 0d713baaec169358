"""Whether the keys of an entry are in the text that it sees. Source: characters, 3.4."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tertulia.worldbooks.index import Index
from tertulia.worldbooks.keys import INDEXED, Key, Kind, Matching, expanded_key, plain_key
from tertulia.worldbooks.literals import find_literal
from tertulia.worldbooks.pieces import Pieces
from tertulia.worldbooks.reasons import Reason
from tertulia.worldbooks.regexes import Budget, Haystack, Verdict

Expand = Callable[[str], str]
Hits = Mapping[int, int]

_FIXED: Final = {
    Kind.ANYTHING: Verdict.HIT,
    Kind.NEVER: Verdict.MISS,
    Kind.REFUSED: Verdict.REFUSED,
}
_BY_VERDICT: Final = {
    Verdict.REFUSED: Reason.REGEX_REFUSED,
    Verdict.SLOW: Reason.REGEX_BUDGET,
    Verdict.SPENT: Reason.REGEX_BUDGET,
}


class KeyTests:
    """Tests keys for one scan. A regex is run once for each text, a macro expanded once for each key."""

    def __init__(self, pieces: Pieces, expand: Expand, budget: Budget) -> None:
        self._pieces = pieces
        self._expand = expand
        self._budget = budget
        self._verdicts: dict[tuple[str, Haystack], Verdict] = {}
        self._plain: dict[tuple[str, Matching], Key] = {}
        self._expanded: dict[tuple[str, Matching], Key] = {}

    def first(self, index: Index, keys: Sequence[int], hits: Hits, mask: int) -> tuple[int | None, Reason]:
        """Give the number of the first key that matches; else why none does.

        `hits` tells in which pieces the index found a key.
        """
        reason = Reason.KEY_MISSING
        for number in keys:
            verdict = self.verdict(index, number, hits, mask)
            if verdict is Verdict.HIT:
                return number, Reason.KEY
            reason = _BY_VERDICT.get(verdict, reason)
        return None, reason

    def verdict(self, index: Index, number: int, hits: Hits, mask: int) -> Verdict:
        """Look for a key of a book among the pieces of a mask."""
        if number in index.loose:
            return self.look(index.keys[number], mask)
        if not hits.get(number, 0) & mask:
            return Verdict.MISS
        key = index.keys[number]
        return Verdict.HIT if key.kind is not Kind.REGEX else self.look(key, mask)

    def look(self, key: Key, mask: int) -> Verdict:
        """Look for a key that no index has found."""
        if not mask:
            return Verdict.MISS
        key = self.expansion(key)
        if key.kind in _FIXED:
            return _FIXED[key.kind]
        if key.kind is Kind.REGEX:
            return self._regex(key, mask)
        return Verdict.HIT if self._literal(key, mask) else Verdict.MISS

    def as_written(self, text: str, matching: Matching, mask: int) -> bool:
        """Look for a text as a key, without expanding or trimming it."""
        key = self._plain.get((text, matching))
        if key is None:
            key = self._plain[text, matching] = plain_key(text, text, matching)
        return self.look(key, mask) is Verdict.HIT

    def scores(self, index: Index, number: int, hits: Hits, mask: int) -> bool:
        """Say whether a key counts in group scoring, which takes keys as they are written."""
        key = index.keys[number]
        if key.kind in INDEXED and len(key.written) == len(key.needle):
            return bool(hits.get(number, 0) & mask)
        return self.as_written(key.written, key.matching, mask)

    def expansion(self, key: Key) -> Key:
        """Give the key with its macros expanded, the same for the whole scan."""
        if key.kind is not Kind.DYNAMIC:
            return key
        known = self._expanded.get((key.written, key.matching))
        if known is None:
            known = expanded_key(key.written, self._expand(key.written), key.matching)
            self._expanded[key.written, key.matching] = known
        return known

    def _regex(self, key: Key, mask: int) -> Verdict:
        hay = self._pieces.text(mask)
        verdict = self._verdicts.get((key.needle, hay))
        if verdict is None:
            verdict = key.pattern.test(hay, self._budget) if key.pattern else Verdict.REFUSED
            self._verdicts[key.needle, hay] = verdict
        return verdict

    def _literal(self, key: Key, mask: int) -> bool:
        if key.kind is not Kind.SPANNING:
            return any(piece.holds(key) for piece in self._pieces.seen(mask))
        text = self._pieces.text(mask).text
        return find_literal(text.lower() if key.matching.fold else text, key.needle, whole=key.whole) >= 0
