"""One scan: sweep after sweep over the candidates until nothing new comes. Source: characters, 3.5."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final

import msgspec

from tertulia.worldbooks.conditions import Conditions
from tertulia.worldbooks.groups import Groups
from tertulia.worldbooks.keytests import Expand, KeyTests
from tertulia.worldbooks.pieces import Piece, Pieces
from tertulia.worldbooks.reasons import FIRED, Reason
from tertulia.worldbooks.regexes import Budget, Verdict
from tertulia.worldbooks.settings import Message, ScanSettings, Scene
from tertulia.worldbooks.shelf import Candidate, Shelf
from tertulia.worldbooks.timed import Live

CountTokens = Callable[[str], int]
_SWEEP_WORK: Final = 10


class SweepKind(Enum):
    """What a sweep is for."""

    FIRST = auto()
    RECURSION = auto()  # what was brought up is scanned too
    WIDENED = auto()  # one message more, since too few entries fired; recursion texts are left out


class Sweep(msgspec.Struct, frozen=True):
    """One pass over the candidates."""

    kind: SweepKind
    number: int = 1


class Sources(msgspec.Struct, frozen=True):
    """What a scan takes from outside: chance, the tokeniser, the macro expander."""

    random: Callable[[], float]
    count_tokens: CountTokens
    expand: Expand


class Limits(msgspec.Struct, frozen=True):
    """How much one scan may cost: processor seconds in regexes, looks at an entry in all."""

    regex_seconds: float = 0.025
    work: int = 100_000


class Scan:
    """The state of one scan."""

    def __init__(
        self,
        shelves: Sequence[Shelf],
        messages: Sequence[Message],
        scene: Scene,
        settings: ScanSettings,
        live: Live,
        sources: Sources,
        limits: Limits,
    ) -> None:
        self.settings = settings
        self.shelves = shelves
        self.pieces = Pieces(messages, scene, settings)
        self.tests = KeyTests(self.pieces, sources.expand, Budget(limits.regex_seconds))
        self.active: list[Candidate] = []
        self.seeds: list[list[Candidate]] = []  # whose contents make each recursion text
        self.overflow = False
        self.truncated = False
        self._sources = sources
        self._groups = Groups(settings, self.tests, sources.random)
        self._conditions = Conditions(scene, messages, live)
        self._depth = settings.depth
        self._looked = 0
        self._work = limits.work
        self._recursed_tokens = 0
        self._book_tokens: dict[Shelf, int] = {}
        self._levels = sorted({level for shelf in shelves for level in shelf.index.levels})
        self._level = self._levels.pop(0) if self._levels else 0.0
        self._waiting: dict[Candidate, None] = {}  # to be judged in the next sweep
        self._settled: list[Candidate] = []  # judged, and the same until a key is found or the sweeps change
        self._last: tuple[SweepKind, float] | None = None
        self._open(scene, live)

    def run(self) -> None:
        """Sweep until nothing more can fire, or a limit is reached."""
        sweep: Sweep | None = Sweep(SweepKind.FIRST)
        steps = self.settings.max_recursion_steps
        while sweep is not None and not (0 < steps < sweep.number):
            passed = self._sweep(sweep)
            sweep = self._after(sweep, passed)
            if sweep is not None:
                self._seed(passed)
                self._look_deeper()

    # Candidates

    def _open(self, scene: Scene, live: Live) -> None:
        """Make candidates of all that may fire without a key, and of what the chat holds."""
        for shelf in self.shelves:
            for number in shelf.index.always:
                shelf.candidate(number)
            for number, timed in shelf.index.timed if live.sticky or live.cooldown else ():
                candidate = shelf.candidate(number)
                candidate.sticky = timed.name in live.sticky
                candidate.cooling = timed.name in live.cooldown
            for uid in scene.forced:
                self._force(shelf, uid)
        self._look(self.pieces.fixed())
        self._look_deeper()

    def _force(self, shelf: Shelf, uid: int | str) -> None:
        prefix = f"{shelf.name}."
        own = uid.removeprefix(prefix) if isinstance(uid, str) and uid.startswith(prefix) else uid
        for name in (own, int(own)) if isinstance(own, str) and own.isascii() and own.isdecimal() else (own,):
            if name in shelf.index.uids:
                shelf.candidate(shelf.index.uids[name]).forced = True

    def _look(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            for shelf in self.shelves:
                shelf.look(piece)

    def _look_deeper(self) -> None:
        """Take in the messages down to the depth that some entry sees."""
        depth = max(self._depth, *(shelf.index.deepest for shelf in self.shelves), 0)
        self._look(self.pieces.messages[self._looked : depth])
        self._looked = max(self._looked, depth)

    def _sweep(self, sweep: Sweep) -> list[Candidate]:
        """Take what fires in this sweep; give those that passed their roll."""
        taken: list[Candidate] = []
        for candidate in self._to_judge(sweep):
            self._work -= 1
            if self.judge(candidate, sweep):
                taken.append(candidate)
            elif not candidate.row.restless:
                self._settled.append(candidate)
                del self._waiting[candidate]
        taken.sort(key=lambda candidate: (not candidate.sticky, not candidate.forced, candidate.rank))
        chosen = self._groups.choose(taken, self.active, lambda candidate: self._mask(candidate, sweep))
        return self._admit(chosen, sweep)

    def _to_judge(self, sweep: Sweep) -> list[Candidate]:
        """Give the candidates about which this sweep may say something else than the last."""
        for shelf in self.shelves:
            self._waiting.update(dict.fromkeys(shelf.take_touched()))
        now = sweep.kind, self._level
        if now != self._last or sweep.kind is SweepKind.WIDENED:
            self._waiting.update(dict.fromkeys(self._settled))
            self._settled.clear()
        self._last = now
        open_ = [candidate for candidate in self._waiting if not candidate.active and not candidate.out]
        self._waiting = dict.fromkeys(open_)
        return open_

    # Judging

    def judge(self, candidate: Candidate, sweep: Sweep) -> bool:
        """Say whether an entry is taken in this sweep, and note why or why not."""
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

    def _barred(self, candidate: Candidate, sweep: Sweep) -> Reason | None:
        """Say whether this is not a sweep for an entry; a sticky one does not care."""
        if candidate.sticky:
            return None
        row = candidate.row
        recursing = sweep.kind is SweepKind.RECURSION
        if row.level and (not recursing or row.level > self._level):
            return Reason.DELAY_UNTIL_RECURSION
        if recursing and row.entry.exclude_recursion and self._recursive(candidate):
            return Reason.EXCLUDE_RECURSION
        return None

    def _recursive(self, candidate: Candidate) -> bool:
        own = candidate.row.book.recursive_scanning
        return self.settings.recursive if own is None else own

    def _mask(self, candidate: Candidate, sweep: Sweep) -> int:
        depth = self._depth if candidate.row.scan_depth is None else candidate.row.scan_depth
        return self.pieces.mask(depth, candidate.row.sources, recursed=sweep.kind is not SweepKind.WIDENED)

    def _keyed(self, candidate: Candidate, sweep: Sweep) -> Reason:
        row, shelf = candidate.row, candidate.shelf
        if not row.primary:
            return Reason.NO_KEYS
        mask = self._mask(candidate, sweep)
        if not mask:
            return Reason.NOT_SCANNED
        number, reason = self.tests.first(shelf.index, row.primary, shelf.hits, mask)
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
            self.tests.verdict(shelf.index, number, shelf.hits, mask) is Verdict.HIT
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
            return self.tests.as_written(key, matching, mask)

        wanted = all(any(map(found, keys)) for keys in decorators.additional_keys)
        return wanted and not any(map(found, decorators.exclude_keys))

    # Admitting

    def _admit(self, chosen: list[Candidate], sweep: Sweep) -> list[Candidate]:
        """Roll the dice and count the tokens; give those whose contents may go on to the next sweep."""
        chosen = sorted(chosen, key=lambda candidate: candidate.row.decorators.ignore_on_max_context)
        failed: set[Candidate] = set()
        tokens = self._recursed_tokens
        for candidate in chosen:
            entry = candidate.row.entry
            if self.overflow and not entry.ignore_budget:
                candidate.blame(Reason.BUDGET)
                continue
            if not self._wins_roll(candidate):
                failed.add(candidate)
                continue
            self._expand(candidate)
            tokens += candidate.tokens
            if tokens >= self.settings.token_budget and not entry.ignore_budget:
                self.overflow = True
                candidate.blame(Reason.BUDGET)
            elif self._fits_book(candidate):
                candidate.active = True
                candidate.reason = candidate.how
                candidate.sweep = sweep.number
                self.active.append(candidate)
        if self.settings.st_strict:
            return [candidate for candidate in chosen if candidate not in failed]
        return [candidate for candidate in chosen if candidate.active]

    def _wins_roll(self, candidate: Candidate) -> bool:
        entry = candidate.row.entry
        if not entry.use_probability or entry.probability == 100 or candidate.sticky:
            return True
        roll = self._sources.random() * 100
        won = roll <= entry.probability if self.settings.st_strict else roll < entry.probability
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
        used = self._book_tokens.get(candidate.shelf, 0) + candidate.tokens
        if used > budget:
            candidate.out = True
            candidate.blame(Reason.BOOK_BUDGET)
            return False
        self._book_tokens[candidate.shelf] = used
        return True

    # Going on

    def _after(self, sweep: Sweep, passed: list[Candidate]) -> Sweep | None:
        """Choose the next sweep, if there is to be one."""
        self._work -= _SWEEP_WORK
        if self._work <= 0:
            self.truncated = True
            return None
        number = sweep.number + 1
        recursing = not self.overflow and (
            any(self._feeds(candidate) and self._recursive(candidate) for candidate in passed)
            or (self.settings.recursive and sweep.kind is SweepKind.WIDENED and bool(self.pieces.recursed))
        )
        if recursing:
            return Sweep(SweepKind.RECURSION, number)
        if not self.overflow and self._wants_more():
            self._depth += 1
            return Sweep(SweepKind.WIDENED, number)
        if self._levels:
            self._level = self._levels.pop(0)
            return Sweep(SweepKind.RECURSION, number)
        return None

    def _feeds(self, candidate: Candidate) -> bool:
        return not candidate.row.entry.prevent_recursion and candidate.row.book.recursive_scanning is not False

    def _wants_more(self) -> bool:
        if len(self.active) >= self.settings.min_activations:
            return False
        deepest = self.settings.min_activations_depth_max
        # SillyTavern looks before it goes on, and so reaches one message more than it was told.
        reached = self._depth if self.settings.st_strict else self._depth + 1
        return not (0 < deepest < reached) and self._depth <= len(self.pieces.messages)

    def _seed(self, passed: list[Candidate]) -> None:
        """Let what this sweep brought up be scanned by the next ones."""
        seeds = [candidate for candidate in passed if self._feeds(candidate)]
        text = "\n".join(candidate.seed for candidate in seeds)
        if text:
            self.seeds.append(seeds)
            self._recursed_tokens += self._sources.count_tokens(text)
            self._look((self.pieces.recurse(text),))
