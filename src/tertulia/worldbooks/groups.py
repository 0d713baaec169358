"""Inclusion groups: of the entries of one group that a sweep takes, one stays. Source: characters, 3.6."""

from collections.abc import Callable, Iterable
from typing import Final

from tertulia.worldbooks.keytests import KeyTests
from tertulia.worldbooks.reasons import Reason
from tertulia.worldbooks.settings import ScanSettings
from tertulia.worldbooks.shelf import Candidate

_AND_ANY: Final = 0
_AND_ALL: Final = 3
MaskOf = Callable[[Candidate], int]


class Groups:
    """Decides between the newly taken entries of a sweep."""

    def __init__(self, settings: ScanSettings, tests: KeyTests, random: Callable[[], float]) -> None:
        self._settings = settings
        self._tests = tests
        self._random = random

    def choose(self, taken: list[Candidate], active: Iterable[Candidate], mask_of: MaskOf) -> list[Candidate]:
        """Give those that stay, in their order; the others are told why they do not."""
        members = _by_group(taken)
        if not members:
            return taken
        taken_names = self._names_of(active)
        lost: set[Candidate] = set()
        for name, group in members.items():
            # SillyTavern lets an entry that lost in one group still compete in the next.
            rivals = group if self._settings.st_strict else [member for member in group if member not in lost]
            self._decide(rivals, lost, mask_of, represented=name in taken_names)
        return [candidate for candidate in taken if candidate not in lost]

    def _names_of(self, active: Iterable[Candidate]) -> set[str]:
        """Give the groups that fired in earlier sweeps; SillyTavern takes a whole comma list for one name."""
        if self._settings.st_strict:
            return {candidate.row.entry.group for candidate in active}
        return {name for candidate in active for name in candidate.row.groups}

    def _decide(self, group: list[Candidate], lost: set[Candidate], mask_of: MaskOf, *, represented: bool) -> None:
        sticky = [member for member in group if member.sticky]
        if sticky:
            _drop(group, sticky, Reason.GROUP_LOST, lost)
            return
        group = self._best_scored(group, lost, mask_of)
        if represented:
            _drop(group, (), Reason.GROUP_TAKEN, lost)
        elif len(group) > 1:
            winner = _prioritised(group) or self._drawn(group)
            _drop(group, (winner,), Reason.GROUP_LOST, lost)

    def _best_scored(self, group: list[Candidate], lost: set[Candidate], mask_of: MaskOf) -> list[Candidate]:
        scored = {member for member in group if self._is_scored(member)}
        if not scored:
            return group
        scores = {member: self._score(member, mask_of(member)) for member in group}
        best = max(scores.values())
        kept = [member for member in group if scores[member] == best or member not in scored]
        _drop(group, kept, Reason.GROUP_SCORE, lost)
        return kept

    def _is_scored(self, member: Candidate) -> bool:
        own = member.row.entry.use_group_scoring
        return self._settings.use_group_scoring if own is None else own

    def _score(self, member: Candidate, mask: int) -> int:
        """Count the keys that match; secondary ones count where their logic is positive."""
        row, index, hits = member.row, member.shelf.index, member.shelf.hits
        if not row.primary:
            return 0
        score = sum(self._tests.scores(index, key, hits, mask) for key in row.primary)
        logic = row.entry.selective_logic
        if logic not in (_AND_ANY, _AND_ALL):
            return score
        more = sum(self._tests.scores(index, key, hits, mask) for key in row.secondary)
        return score + more if logic == _AND_ANY or more == len(row.secondary) else score

    def _drawn(self, group: list[Candidate]) -> Candidate:
        roll = self._random() * sum(member.row.entry.group_weight for member in group)
        reached = 0.0
        for member in group:
            reached += member.row.entry.group_weight
            if reached >= roll:
                return member
        return group[-1]


def _by_group(taken: list[Candidate]) -> dict[str, list[Candidate]]:
    """Sort by group; names that are whole numbers come first and ascending, as the keys of a JavaScript object do."""
    members: dict[str, list[Candidate]] = {}
    for candidate in taken:
        for name in candidate.row.groups:
            members.setdefault(name, []).append(candidate)
    numeric = sorted((name for name in members if _is_array_index(name)), key=int)
    return {name: members[name] for name in (*numeric, *(name for name in members if name not in set(numeric)))}


def _is_array_index(name: str) -> bool:
    return name.isascii() and name.isdecimal() and str(int(name)) == name if len(name) <= 10 else False


def _prioritised(group: list[Candidate]) -> Candidate | None:
    chosen = [member for member in group if member.row.entry.group_override]
    return max(chosen, key=lambda member: member.row.entry.order, default=None)


def _drop(group: Iterable[Candidate], kept: Iterable[Candidate], reason: Reason, lost: set[Candidate]) -> None:
    stay = set(kept) | lost
    for member in group:
        if member not in stay:
            lost.add(member)
            member.blame(reason)
