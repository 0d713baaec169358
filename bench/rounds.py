"""Rounds: every system in turn under the same load, again and again, so that a wandering machine wanders for all."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import machine
import msgspec
import processes
import systems
from figures import median
from judge import Shape
from load import Outcome, Plan, Spread
from systems import BENCH, Ground, System

PhaseName = Literal["blocking", "stream", "one", "paced"]
REFERENCE_ROUNDS: Final = 2  # enough of the direct way and of nginx: no ratio is taken of them


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One kind of load. `share`: its part of the run's time, of which rounds that no longer fit are left out."""

    name: PhaseName
    shape: Shape
    connections: int
    rounds: int
    share: float
    seconds: float = 1.2
    warm_s: float = 0.3


PHASES: Final = (
    Phase(name="blocking", shape="blocking", connections=32, rounds=7, share=0.22),
    Phase(name="stream", shape="stream", connections=32, rounds=7, share=0.22),
    Phase(name="one", shape="blocking", connections=1, rounds=7, share=0.14, seconds=0.7, warm_s=0.2),
    Phase(name="paced", shape="paced", connections=1000, rounds=5, share=0.42),
)


@dataclass
class Taken:
    """What one system gave in one phase, round by round."""

    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def cpu_us(self, per: int = 1) -> list[float]:
        """CPU time a round in µs per answer, or per `per`-th part of an answer; nothing of rounds without an answer."""
        return [one.cpu_s * 1e6 / one.measured / per for one in self.outcomes if one.measured]

    def rate(self) -> float:
        """Answers a second, the median of the rounds."""
        return median([one.measured / one.wall_s for one in self.outcomes])

    def reads(self) -> float:
        """In how many reads an answer came, the median of the rounds."""
        return median([one.reads for one in self.outcomes])

    def latency(self) -> Spread:
        """The time to the whole answer: each figure the median of the rounds."""
        return _middle([one.latency for one in self.outcomes])

    def first_token(self) -> Spread:
        """The time to the first content: each figure the median of the rounds."""
        return _middle([one.first_token for one in self.outcomes])

    def stalled(self) -> int:
        """Streams that stalled, all rounds together."""
        return sum(one.stalled for one in self.outcomes)

    def broken(self) -> int:
        """Answers that were not whole, all rounds together."""
        return sum(sum(one.broken.values()) for one in self.outcomes)

    def answered(self) -> int:
        """Whole answers, warm-up included."""
        return sum(one.answered for one in self.outcomes)


@dataclass
class Record:
    """All that was measured: by phase and system, and beside the single connection a commit to this disk."""

    taken: dict[PhaseName, dict[str, Taken]] = field(default_factory=dict[PhaseName, dict[str, Taken]])
    commits: list[Spread] = field(default_factory=list[Spread])
    faults: list[str] = field(default_factory=list[str])
    cut: dict[PhaseName, int] = field(default_factory=dict[PhaseName, int])

    def of(self, phase: PhaseName, system: str) -> Taken:
        """Return what a system gave in a phase (nothing, if it did not take part)."""
        return self.taken.get(phase, {}).get(system, Taken())

    def answered(self, system: str) -> int:
        """Whole answers of one system in all phases."""
        return sum(by_system[system].answered() for by_system in self.taken.values() if system in by_system)


@dataclass(frozen=True, kw_only=True)
class Field:
    """Who is measured: systems under test take every round, references the first two."""

    ground: Ground
    upstream: System
    tested: Sequence[System]
    references: Sequence[System]


def run(where: Field, phases: Sequence[Phase], *, budget_s: float, say: Callable[[str], None]) -> Record:
    """Take all phases, within the time given."""
    record = Record()
    ends = time.monotonic() + budget_s
    for done, phase in enumerate(phases):
        share = phase.share / sum(later.share for later in phases[done:])
        until = time.monotonic() + (ends - time.monotonic()) * share
        say(f"{phase.name}: {phase.connections} connection{'s' * (phase.connections > 1)}, {phase.rounds} rounds")
        for _ in _in_time(phase, until, record):
            _round(where, phase, record)
    return record


def _in_time(phase: Phase, until: float, record: Record) -> Iterator[None]:
    """Yield once a round; stop where another one like the last would end too late."""
    last = 0.0
    for number in range(phase.rounds):
        began = time.monotonic()
        if number and began + last > until:
            record.cut[phase.name] = number
            return
        yield
        last = time.monotonic() - began


def _round(where: Field, phase: Phase, record: Record) -> None:
    by_system = record.taken.setdefault(phase.name, {})
    for system in (*where.references, *where.tested):
        taken = by_system.setdefault(system.name, Taken())
        if system in where.references and len(taken.outcomes) >= REFERENCE_ROUNDS:
            continue
        given = systems.answered(where.upstream)
        outcome = _load(where, phase, system)
        taken.outcomes.append(outcome)
        given = systems.answered(where.upstream) - given
        record.faults += _faults(phase, system, outcome, given)
    if phase.name == "one":
        record.commits.append(machine.commits(where.ground.folder))


def _load(where: Field, phase: Phase, system: System) -> Outcome:
    plan = Plan(
        shape=phase.shape,
        port=system.port,
        pid=system.pid,
        key=system.key,
        model=systems.model(system, paced=phase.shape == "paced"),
        connections=phase.connections,
        seconds=phase.seconds,
        warm_s=phase.warm_s,
    )
    core = ",".join(map(str, where.ground.instruments))
    done = subprocess.run(
        [sys.executable, str(BENCH / "load.py"), msgspec.json.encode(plan).decode(), core],
        env=processes.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=90,
    )
    if done.returncode:
        raise processes.StartError(f"the load generator failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Outcome)


def _faults(phase: Phase, system: System, outcome: Outcome, given: int) -> list[str]:
    head = f"{system.name}, {phase.name}"
    faults = [f"{head}: {count} × {what}" for what, count in outcome.broken.items()]
    if not outcome.broken and given != outcome.answered:
        faults.append(f"{head}: {outcome.answered} answers, but the upstream gave {given}: cached, retried or probed")
    return faults


def _middle(spreads: Sequence[Spread]) -> Spread:
    middle = (median([msgspec.structs.astuple(one)[n] for one in spreads]) for n in range(3))
    return Spread(*middle)
