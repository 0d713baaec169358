"""Whether a sweep takes an entry, and why: the steps of characters 3.5, in their order."""

from tertulia.worldbooks.conditions import Conditions
from tertulia.worldbooks.keytests import KeyTests
from tertulia.worldbooks.pieces import Pieces
from tertulia.worldbooks.reasons import FIRED, Reason
from tertulia.worldbooks.regexes import Verdict
from tertulia.worldbooks.settings import ScanSettings
from tertulia.worldbooks.shelf import Candidate
from tertulia.worldbooks.sweeps import Sweep, SweepKind


class Judge:
    """Judges the entries of one scan."""

    def __init__(self, settings: ScanSettings, pieces: Pieces, tests: KeyTests, conditions: Conditions) -> None:
        self._settings = settings
        self._pieces = pieces
        self._tests = tests
        self._conditions = conditions

    def takes(self, candidate: Candidate, sweep: Sweep) -> bool:
        """Say whether a sweep takes an entry, and note on it how, or why not."""
        reason = self._conditions.permanent(candidate)
        if reason is not None:
            candidate.out = True
            candidate.blame(reason)
            return False
        reason = self._barred(candidate, sweep) or self._conditions.decorated(candidate)
        if reason is None:
            reason = self._conditions.unkeyed(candidate) or self._keyed(candidate, sweep)
        if reason in FIRED:
            candidate.how = reason
            return True
        candidate.blame(reason)
        return False

    def recursive(self, candidate: Candidate) -> bool:
        """Say whether recursion is on for the book of an entry."""
        own = candidate.row.book.recursive_scanning
        return self._settings.recursive if own is None else own

    def mask(self, candidate: Candidate, sweep: Sweep) -> int:
        """Give the pieces of text that an entry sees in a sweep."""
        depth = sweep.depth if candidate.row.scan_depth is None else candidate.row.scan_depth
        return self._pieces.mask(depth, candidate.row.sources, recursed=sweep.kind is not SweepKind.WIDENED)

    def _barred(self, candidate: Candidate, sweep: Sweep) -> Reason | None:
        """Say whether this is no sweep for an entry; a sticky one does not care."""
        if candidate.sticky:
            return None
        row = candidate.row
        recursing = sweep.kind is SweepKind.RECURSION
        if row.level and (not recursing or row.level > sweep.level):
            return Reason.DELAY_UNTIL_RECURSION
        if recursing and row.entry.exclude_recursion and self.recursive(candidate):
            return Reason.EXCLUDE_RECURSION
        return None

    def _keyed(self, candidate: Candidate, sweep: Sweep) -> Reason:
        row, shelf = candidate.row, candidate.shelf
        if not row.primary:
            return Reason.NO_KEYS
        mask = self.mask(candidate, sweep)
        if not mask:
            return Reason.NOT_SCANNED
        number, reason = self._tests.first(shelf.index, row.primary, shelf.hits, mask)
        if number is None:
            return reason
        if row.entry.selective and row.secondary and not self._secondary(candidate, mask):
            return Reason.SECONDARY_KEYS
        if not self._decorated_keys(candidate, mask):
            return Reason.EXCLUDED_KEYS
        candidate.key, candidate.mask = number, mask
        return Reason.KEY

    def _secondary(self, candidate: Candidate, mask: int) -> bool:
        shelf = candidate.shelf
        found = (
            self._tests.verdict(shelf.index, number, shelf.hits, mask) is Verdict.HIT
            for number in candidate.row.secondary
        )
        match candidate.row.entry.selective_logic:
            case 0:
                return any(found)
            case 1:
                return not all(found)
            case 2:
                return not any(found)
            case 3:
                return all(found)
            case _:
                return False

    def _decorated_keys(self, candidate: Candidate, mask: int) -> bool:
        decorators, matching = candidate.row.decorators, candidate.row.matching
        if not decorators.additional_keys and not decorators.exclude_keys:
            return True

        def found(key: str) -> bool:
            return self._tests.as_written(key, matching, mask)

        wanted = all(any(map(found, keys)) for keys in decorators.additional_keys)
        return wanted and not any(map(found, decorators.exclude_keys))
