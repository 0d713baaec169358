"""The bench: Tertulia beside the floor, in one run of under three minutes.

Run: python bench/run.py [--only floor] [--rounds N] [--phases blocking,paced] [--off credits] [--budget SECONDS]
Exit status: 0; 1 where an answer, a count or the database does not hold; 2 where a gate is broken; 3 where something
could not be started.
"""

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, NoReturn

import machine
import report
import rounds
import server
import systems
import targets
from evidence import Finding
from figures import median
from processes import StartError
from rounds import Field, Phase, Record
from systems import Ground, System
from targets import Mark, Verdict

RESULTS: Final = systems.BENCH / "results"
_FILES: Final = 16384
FEW_READS: Final = 0.75
_CLOSING_S: Final = 8.0  # stopping the server and reading its books belongs to the budget


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    only_floor: bool
    phases: Sequence[Phase]
    off: frozenset[server.Part]
    budget_s: float


@dataclass
class Verdicts:
    """What is said of the server when its run has ended."""

    marks: list[Mark] = field(default_factory=list[Mark])
    findings: list[Finding] = field(default_factory=list[Finding])
    at_rest: dict[str, float] = field(default_factory=dict[str, float])


def options(argv: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Measure Tertulia beside the floor.")
    names = [phase.name for phase in rounds.PHASES]
    parser.add_argument("--only", choices=["floor"], help="leave the server out")
    parser.add_argument("--rounds", type=int, help="rounds of each phase, instead of 7 (paced: 5)")
    parser.add_argument("--phases", default=",".join(names), help="which, separated by commas (default: %(default)s)")
    parser.add_argument("--off", action="append", default=[], choices=server.PARTS, help="leave this out (no targets)")
    parser.add_argument("--budget", type=float, default=170.0, help="seconds for the whole run (default: %(default)s)")
    given = parser.parse_args(argv)
    wanted = str(given.phases).split(",")
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"no such phase: {', '.join(unknown)} (there are {', '.join(names)})")
    phases = [phase for phase in rounds.PHASES if phase.name in wanted]
    if given.rounds is not None:
        phases = [replace(phase, rounds=max(1, int(given.rounds))) for phase in phases]
    return Options(given.only == "floor", phases, frozenset(given.off), float(given.budget))


def prepare(stack: ExitStack) -> Ground:
    """Choose cores and a folder, allow the files that 1,000 streams need, and have signals end the run in order."""
    signal.signal(signal.SIGTERM, _leave)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    if len(cores) < 2:
        say("only one core: everything shares it, and the figures are worth little")
    RESULTS.mkdir(exist_ok=True)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=RESULTS))
    return Ground(stack=stack, folder=Path(folder), measured=cores[:1], instruments=cores[-1:])


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; return the exit status."""
    began = time.monotonic()
    asked = options(argv)
    with ExitStack() as stack:
        ground = prepare(stack)
        cores = {*ground.measured, *ground.instruments}
        facts = machine.describe(ground.folder, cores)
        company = machine.Company(cores)
        try:
            record, names, verdicts = _measure(ground, asked, began)
        except StartError as error:
            say(str(error))
            return 3
        facts["company"] = shares = company.shares()
    say("\n" + report.measured(record, names))
    for line in report.notes(record):
        say(line)
    _say_verdicts(record, verdicts, asked)
    path = RESULTS / f"{report.stamp()}.json"
    books = [asdict(finding) for finding in verdicts.findings]
    around = {"machine": facts, "off": sorted(asked.off), "at_rest": verdicts.at_rest, "books": books}
    report.write(path, record, around, verdicts.marks)
    say(f"\n{facts['processor']}, cores {facts['cores']}, disk {facts['disk']}")
    say(f"others on this machine took {shares['others']:.1%} of the cores, its host {shares['stolen']:.1%}")
    say(f"{time.monotonic() - began:.0f} s; {path}")
    return _status(record, verdicts)


def _measure(ground: Ground, asked: Options, began: float) -> tuple[Record, list[str], Verdicts]:
    upstream = systems.upstream(ground)
    floor = systems.floor(ground, upstream)
    nginx = systems.nginx(ground, upstream)
    if nginx is None:
        say("nginx is not installed: its column is left out")
    references = [upstream, *([nginx] if nginx else [])]
    tested, ours = [floor], None
    if not asked.only_floor:
        if not server.installed():
            raise StartError("`python -m tertulia` does not exist here; `--only floor` measures without it")
        ours = server.Server(ground, upstream, asked.off | server.NOT_BUILT)
        tested.append(ours.start())
    where = Field(ground=ground, upstream=upstream, tested=tested, references=references)
    left = asked.budget_s - (time.monotonic() - began) - (_CLOSING_S if ours else 1.0)
    record = rounds.run(where, asked.phases, budget_s=left, say=say)
    verdicts = _conclude(record, ours, tested, asked) if ours else Verdicts()
    return record, [system.name for system in (*references, *tested)], verdicts


def _conclude(record: Record, ours: server.Server, tested: Sequence[System], asked: Options) -> Verdicts:
    name = tested[-1].name
    findings = ours.stop(record.answered(name))
    at_rest = {
        "first_start_s": ours.first_start_s,
        "start_s": ours.start_s,
        "idle_mb": ours.idle_mb,
        "loaded_mb": ours.loaded_mb,
    }
    rest = targets.Rest(idle_mb=ours.idle_mb, start_s=ours.start_s)
    marks = [] if asked.off else targets.marks(record, rest, ours=name, floor=tested[0].name)
    return Verdicts(marks, findings, at_rest)


def _say_verdicts(record: Record, verdicts: Verdicts, asked: Options) -> None:
    if verdicts.at_rest:
        say("server: " + ", ".join(f"{name} {value:.2f}" for name, value in verdicts.at_rest.items()))
    if server.NOT_BUILT:
        say(f"not built yet, so not on: {', '.join(sorted(server.NOT_BUILT))}; the figures will rise with them")
    if asked.off:
        say(f"without {', '.join(sorted(asked.off))}: such figures meet no target")
    if verdicts.marks:
        say("\n" + report.judged(verdicts.marks))
        if record.of("stream", "tertulia").reads() < FEW_READS * record.of("stream", "floor").reads():
            say("P2 flatters: the server's events came in fewer reads, so that it had more to a turn than the floor.")
        if 0 < median(record.of("blocking", "floor").cpu_us()) < targets.FAST_FLOOR_US:
            say(f"The floor is under {targets.FAST_FLOOR_US} µs: a fast host, on which fixed costs weigh more.")
    if verdicts.findings:
        say("\n" + report.found(verdicts.findings))
    for fault in record.faults:
        say(f"FAULT {fault}")


def _status(record: Record, verdicts: Verdicts) -> int:
    if record.faults or not all(finding.holds for finding in verdicts.findings):
        return 1
    return 2 if any(mark.verdict is Verdict.BROKEN for mark in verdicts.marks) else 0


def _leave(_signal: int, _frame: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
