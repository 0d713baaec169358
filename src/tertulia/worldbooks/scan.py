"""One scan: sweep after sweep over the candidates until nothing new comes. Source: characters, 3.5."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tertulia.worldbooks.admission import Admission, Sources
from tertulia.worldbooks.conditions import Conditions
from tertulia.worldbooks.groups import Groups
from tertulia.worldbooks.judging import Judge
from tertulia.worldbooks.keytests import KeyTests
from tertulia.worldbooks.pieces import Piece, Pieces
from tertulia.worldbooks.regexes import Budget
from tertulia.worldbooks.settings import Message, ScanSettings, Scene
from tertulia.worldbooks.shelf import Candidate, Shelf
from tertulia.worldbooks.sweeps import Sweep, SweepKind
from tertulia.worldbooks.timed import Live

_SWEEP_WORK: Final = 10


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
        self.judge = Judge(settings, self.pieces, self.tests, Conditions(scene, messages, live))
        self.admission = Admission(settings, sources)
        self.seeds: list[list[Candidate]] = []  # whose contents make each recursion text
        self.truncated = False
        self._groups = Groups(settings, self.tests, sources.random)
        self._looked = 0
        self._work = limits.work
        self._levels = sorted({level for shelf in shelves for level in shelf.index.levels})
        level = self._levels.pop(0) if self._levels else 0.0
        self.sweep = Sweep(SweepKind.FIRST, 1, settings.depth, level)
        self._waiting: dict[Candidate, None] = {}  # to be judged in the next sweep
        self._settled: list[Candidate] = []  # judged, and the same until a key is found or the sweeps change
        self._open(scene, live)

    def run(self) -> None:
        """Sweep until nothing more can fire, or a limit is reached."""
        steps = self.settings.max_recursion_steps
        while not 0 < steps < self.sweep.number:
            passed = self._run_sweep()
            following = self._following(passed)
            if following is None:
                return
            self._seed(passed)
            self._unsettle(following)
            self.sweep = following
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
                shelf.force(uid)
        self._look(self.pieces.fixed())
        self._look_deeper()

    def _look(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            for shelf in self.shelves:
                shelf.look(piece)

    def _look_deeper(self) -> None:
        """Take in the messages down to the depth that some entry sees."""
        depth = max(self.sweep.depth, *(shelf.index.deepest for shelf in self.shelves), 0)
        self._look(self.pieces.messages[self._looked : depth])
        self._looked = max(self._looked, depth)

    def _unsettle(self, following: Sweep) -> None:
        """Judge everybody again when the next sweep is of another sort than this one."""
        same = following.kind is self.sweep.kind and following.level == self.sweep.level
        if not same or following.kind is SweepKind.WIDENED:
            self._waiting.update(dict.fromkeys(self._settled))
            self._settled.clear()

    # Sweeping

    def _run_sweep(self) -> list[Candidate]:
        """Take what fires in this sweep; give those whose contents may go on to the next."""
        for shelf in self.shelves:
            self._waiting.update(dict.fromkeys(shelf.take_touched()))
        judged = [candidate for candidate in self._waiting if not candidate.active and not candidate.out]
        self._work -= len(judged) + _SWEEP_WORK
        taken = [candidate for candidate in judged if self.judge.takes(candidate, self.sweep)]
        self._settle(judged, set(taken))
        taken.sort(key=lambda candidate: (not candidate.sticky, not candidate.forced, candidate.rank))
        active = self.admission.active
        chosen = self._groups.choose(taken, active, lambda candidate: self.judge.mask(candidate, self.sweep))
        return self.admission.admit(chosen, self.sweep)

    def _settle(self, judged: list[Candidate], taken: set[Candidate]) -> None:
        """Lay aside those about which the next sweep of this sort can say nothing else."""
        restless = [candidate for candidate in judged if candidate in taken or candidate.row.restless]
        self._waiting = dict.fromkeys(restless)
        self._settled += [candidate for candidate in judged if candidate not in self._waiting]

    def _following(self, passed: list[Candidate]) -> Sweep | None:
        """Choose the next sweep, if there is to be one."""
        if self._work <= 0:
            self.truncated = True
            return None
        number, depth, level = self.sweep.number + 1, self.sweep.depth, self.sweep.level
        if not self.admission.overflow:
            if self._recurses(passed):
                return Sweep(SweepKind.RECURSION, number, depth, level)
            if self._wants_more():
                return Sweep(SweepKind.WIDENED, number, depth + 1, level)
        if self._levels:
            return Sweep(SweepKind.RECURSION, number, depth, self._levels.pop(0))
        return None

    def _recurses(self, passed: list[Candidate]) -> bool:
        if any(_feeds(candidate) and self.judge.recursive(candidate) for candidate in passed):
            return True
        return self.settings.recursive and self.sweep.kind is SweepKind.WIDENED and bool(self.pieces.recursed)

    def _wants_more(self) -> bool:
        if len(self.admission.active) >= self.settings.min_activations:
            return False
        deepest = self.settings.min_activations_depth_max
        # SillyTavern looks before it goes on, and so reaches one message more than it was told.
        reached = self.sweep.depth if self.settings.st_strict else self.sweep.depth + 1
        return not 0 < deepest < reached and self.sweep.depth <= len(self.pieces.messages)

    def _seed(self, passed: list[Candidate]) -> None:
        """Let what this sweep brought up be scanned by the next ones."""
        seeds = [candidate for candidate in passed if _feeds(candidate)]
        text = "\n".join(candidate.seed for candidate in seeds)
        if text:
            self.seeds.append(seeds)
            self.admission.count_recursed(text)
            self._look((self.pieces.recurse(text),))


def _feeds(candidate: Candidate) -> bool:
    return not candidate.row.entry.prevent_recursion and candidate.row.book.recursive_scanning is not False
