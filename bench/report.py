"""The table of a run, and its JSON."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from evidence import Finding
from figures import median
from rounds import PhaseName, Record, Taken
from targets import Mark, events

Row = tuple[str, ...]


def measured(record: Record, names: Sequence[str]) -> str:
    """Return the table of what was measured: a column a system."""
    rows: list[Row] = [("", *names)]
    for label, phase, show in _ROWS:
        if phase in record.taken:
            rows.append((label, *(_cell(record.of(phase, name), phase, show) for name in names)))
    return _table(rows)


def judged(marks: Sequence[Mark]) -> str:
    """Return the table of targets."""
    rows: list[Row] = [("", "target", "measured", "aim", "gate", "")]
    for mark in marks:
        value = str(mark.ratio) if mark.ratio else f"{mark.value:,.2f}".rstrip("0").rstrip(".")
        gate = "-" if mark.gate is None else f"{mark.gate:g}"
        rows.append((mark.id, mark.what, f"{value} {mark.unit}", f"{mark.aim:g}", gate, mark.verdict))
    return _table(rows)


def found(findings: Sequence[Finding]) -> str:
    """Return the table of what the database holds against what was counted."""
    rows: list[Row] = [("database", "wanted", "found", "")]
    for finding in findings:
        amount = "no such table" if finding.found is None else f"{finding.found:,}"
        rows.append((finding.what, f"{finding.wanted:,}", amount, "holds" if finding.holds else "DOES NOT HOLD"))
    return _table(rows)


def notes(record: Record) -> Iterator[str]:
    """Yield what a reader of the figures must know beside them."""
    for phase, rounds in record.cut.items():
        yield f"{phase}: stopped after {rounds} rounds, to stay within the time"
    if record.commits:
        p50, p99 = (median([getattr(one, name) for one in record.commits]) for name in ("p50", "p99"))
        yield f"one commit to this disk: p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def write(path: Path, record: Record, facts: Mapping[str, object], marks: Sequence[Mark]) -> None:
    """Write everything that was measured, round by round, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rounds = {
        phase: {name: msgspec.to_builtins(taken.outcomes) for name, taken in by_system.items()}
        for phase, by_system in record.taken.items()
    }
    document = {
        **facts,
        "marks": [asdict(mark) for mark in marks],
        "faults": record.faults,
        "rounds": rounds,
        "commits_ms": msgspec.to_builtins(record.commits),
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def stamp() -> str:
    """Return the time as it stands in a file's name."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def _cpu(taken: Taken, phase: PhaseName) -> str:
    return f"{median(taken.cpu_us(events(phase))):,.1f}"


def _rate(taken: Taken, _phase: PhaseName) -> str:
    return f"{taken.rate():,.0f}"


def _reads(taken: Taken, _phase: PhaseName) -> str:
    return f"{taken.reads():.1f}"


def _first(taken: Taken, _phase: PhaseName) -> str:
    first = taken.first_token()
    return f"{first.p50:.2f} / {first.p99:.2f}"


def _latency(taken: Taken, _phase: PhaseName) -> str:
    latency = taken.latency()
    return f"{latency.p50:.3f} / {latency.p99:.3f}"


def _losses(taken: Taken, _phase: PhaseName) -> str:
    streams = taken.answered() + taken.broken()
    return f"{taken.stalled()} / {taken.broken()} of {streams:,}"


_ROWS: Sequence[tuple[str, PhaseName, Callable[[Taken, PhaseName], str]]] = (
    ("blocking, CPU µs/request", "blocking", _cpu),
    ("blocking, requests/s", "blocking", _rate),
    ("stream, CPU µs/stream", "stream", _cpu),
    ("stream, streams/s", "stream", _rate),
    ("stream, reads/stream", "stream", _reads),
    ("one connection, p50 / p99 ms", "one", _latency),
    ("paced, CPU µs/event", "paced", _cpu),
    ("paced, first token p50 / p99 ms", "paced", _first),
    ("paced, stalled / not whole", "paced", _losses),
)


def _cell(taken: Taken, phase: PhaseName, show: Callable[[Taken, PhaseName], str]) -> str:
    return show(taken, phase) if taken.outcomes else "-"


def _table(rows: Sequence[Row]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
