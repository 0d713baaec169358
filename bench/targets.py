"""The targets of the law ("Performance", P1-P4 and P8), and whether a run meets them.

An aim is what we are out for; a gate is what a change may not fall behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import wire
from figures import Ratio, median, paired
from rounds import PhaseName, Record

FAST_FLOOR_US: Final = 50


class Verdict(StrEnum):
    """What a measured value is worth."""

    MET = "aim met"
    WITHIN = "within the gate"
    SHORT = "aim missed"
    BROKEN = "GATE BROKEN"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One target beside what was measured."""

    id: str
    what: str
    value: float
    unit: str
    aim: float
    gate: float | None
    verdict: Verdict
    ratio: Ratio | None = None


@dataclass(frozen=True)
class Rest:
    """What the server took before any load (megabytes, seconds)."""

    idle_mb: float
    start_s: float


def marks(record: Record, rest: Rest, *, ours: str, floor: str) -> list[Mark]:
    """Judge a run of the server beside the floor."""
    return [
        *_ratio(record, "P1", "blocking", "blocking, 32 connections: CPU per request", (ours, floor), (3.5, 4.5)),
        *_ratio(record, "P2", "stream", "stream of 51 events: CPU per stream", (ours, floor), (1.6, 2.0)),
        *_ratio(record, "P3", "paced", "1,000 paced streams: CPU per event", (ours, floor), (1.2, 1.5)),
        *_carried(record, ours),
        *_added(record, ours, floor),
        _mark("P8", "idle memory", rest.idle_mb, "MB", 120, None),
        _mark("P8", "start to ready", rest.start_s, "s", 2, None),
    ]


def events(phase: PhaseName) -> int:
    """Return by how many events an answer's CPU time is divided."""
    return wire.PACED_EVENTS if phase == "paced" else 1


def added(record: Record, ours: str, floor: str) -> tuple[float, float]:
    """Return what p50 and p99 of a single connection lie over the floor, net of one commit: medians of the rounds."""
    rounds = zip(record.of("one", ours).outcomes, record.of("one", floor).outcomes, record.commits, strict=False)
    nets = [
        (a.latency.p50 - b.latency.p50 - commit.p50, a.latency.p99 - b.latency.p99 - commit.p99)
        for a, b, commit in rounds
    ]
    return median([p50 for p50, _ in nets]), median([p99 for _, p99 in nets])


def _ratio(
    record: Record, mark: str, phase: PhaseName, what: str, pair: tuple[str, str], limits: tuple[float, float]
) -> Sequence[Mark]:
    ours, floor = (record.of(phase, name).cpu_us(events(phase)) for name in pair)
    ratio = paired(ours, floor)
    if ratio is None:
        return ()
    aim, gate = limits
    return (
        Mark(
            id=mark,
            what=what,
            value=ratio.median,
            unit="× the floor",
            aim=aim,
            gate=gate,
            ratio=ratio,
            verdict=_verdict(ratio.median, aim, gate),
        ),
    )


def _carried(record: Record, ours: str) -> Sequence[Mark]:
    paced = record.of("paced", ours)
    if not paced.outcomes:
        return ()
    lost, first = paced.stalled() + paced.broken(), paced.first_token().p99
    return (
        _mark("P3", "1,000 paced streams: stalled or not whole", lost, "streams", 0, 0),
        _mark("P3", "1,000 paced streams: first token p99", first, "ms", 50, None),
    )


def _added(record: Record, ours: str, floor: str) -> Sequence[Mark]:
    if not record.of("one", ours).outcomes:
        return ()
    p50, p99 = added(record, ours, floor)
    return (
        _mark("P4", "one connection: added p50, net of a commit", p50, "ms", 0.5, None),
        _mark("P4", "one connection: added p99, net of a commit", p99, "ms", 2, None),
    )


def _mark(mark: str, what: str, value: float, unit: str, aim: float, gate: float | None) -> Mark:
    return Mark(id=mark, what=what, value=value, unit=unit, aim=aim, gate=gate, verdict=_verdict(value, aim, gate))


def _verdict(value: float, aim: float, gate: float | None) -> Verdict:
    if value <= aim:
        return Verdict.MET
    if gate is None:
        return Verdict.SHORT
    return Verdict.WITHIN if value <= gate else Verdict.BROKEN
