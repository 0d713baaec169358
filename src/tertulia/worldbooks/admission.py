"""Dice and tokens: which of the entries that a sweep chose become active. Source: characters, 3.5."""

from collections.abc import Callable, Sequence

import msgspec

from tertulia.worldbooks.keytests import Expand
from tertulia.worldbooks.reasons import Reason
from tertulia.worldbooks.settings import ScanSettings
from tertulia.worldbooks.shelf import Candidate, Shelf
from tertulia.worldbooks.sweeps import Sweep

CountTokens = Callable[[str], int]


class Sources(msgspec.Struct, frozen=True):
    """What a scan takes from outside: chance, the tokeniser, the macro expander."""

    random: Callable[[], float]
    count_tokens: CountTokens
    expand: Expand


class Admission:
    """Admits entries to one scan, and keeps its account of tokens.

    Tokens are counted content by content and added up: counting the growing text anew in every sweep would take time
    without bound, and for a tokeniser that goes by words gives the same.
    """

    def __init__(self, settings: ScanSettings, sources: Sources) -> None:
        self.active: list[Candidate] = []
        self.overflow = False
        self._settings = settings
        self._budget = settings.token_budget
        self._sources = sources
        self._recursed = 0
        self._by_book: dict[Shelf, int] = {}

    def count_recursed(self, text: str) -> None:
        """Count a text that later sweeps scan: it is part of the prompt by now."""
        self._recursed += self._sources.count_tokens(text)

    def admit(self, chosen: Sequence[Candidate], sweep: Sweep) -> list[Candidate]:
        """Roll the dice and count the tokens; give those whose contents may go on to the next sweep."""
        ordered = sorted(chosen, key=lambda candidate: candidate.row.decorators.ignore_on_max_context)
        failed: set[Candidate] = set()
        tokens = self._recursed
        for candidate in ordered:
            entry = candidate.row.entry
            if self.overflow and not entry.ignore_budget:
                candidate.blame(Reason.BUDGET)
                continue
            if not self._wins_roll(candidate):
                failed.add(candidate)
                continue
            self._expand(candidate)
            tokens += candidate.tokens
            if tokens >= self._budget and not entry.ignore_budget:
                self.overflow = True
                candidate.blame(Reason.BUDGET)
            elif self._fits_book(candidate):
                self._activate(candidate, sweep)
        if self._settings.st_strict:
            return [candidate for candidate in ordered if candidate not in failed]
        return [candidate for candidate in ordered if candidate.active]

    def _activate(self, candidate: Candidate, sweep: Sweep) -> None:
        candidate.active = True
        candidate.reason = candidate.how
        candidate.sweep = sweep.number
        self.active.append(candidate)

    def _wins_roll(self, candidate: Candidate) -> bool:
        entry = candidate.row.entry
        if not entry.use_probability or entry.probability == 100 or candidate.sticky:
            return True
        roll = self._sources.random() * 100
        won = roll <= entry.probability if self._settings.st_strict else roll < entry.probability
        if not won:
            candidate.out = True
            candidate.blame(Reason.PROBABILITY)
        return won

    def _expand(self, candidate: Candidate) -> None:
        if candidate.content is None:
            candidate.content = self._sources.expand(candidate.row.content)
            candidate.tokens = self._sources.count_tokens(f"{candidate.content}\n")

    def _fits_book(self, candidate: Candidate) -> bool:
        budget = candidate.row.book.token_budget
        if not budget:
            return True
        used = self._by_book.get(candidate.shelf, 0) + candidate.tokens
        if used > budget:
            candidate.out = True
            candidate.blame(Reason.BOOK_BUDGET)
            return False
        self._by_book[candidate.shelf] = used
        return True
