"""What a process and its children have used, read from /proc (Linux, proc(5))."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


def family(pid: int) -> list[int]:
    """Return the process and its living descendants; one that ends meanwhile is left out."""
    members = [pid]
    for member in members:
        for children in (_PROC / str(member) / "task").glob("*/children"):
            try:
                members.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue
    return members


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of the process, its living descendants, and children already waited for.

    The kernel counts in ticks of 10 ms, so a measurement must run for a second or more.
    """
    return sum(_ticks(member) for member in family(pid)) / _TICKS


def busy_seconds(cores: Collection[int]) -> tuple[float, float]:
    """Return the time that processes had these cores, and the time that the machine's host took from them.

    Interrupts are left out: those of the loopback serve the bench itself and are charged to no process.
    """
    names = {f"cpu{core}" for core in cores}
    rows = (line.split() for line in (_PROC / "stat").read_text().splitlines())
    ticks = [[int(field) for field in row[1:9]] for row in rows if row[0] in names]
    return sum(sum(row[:3]) for row in ticks) / _TICKS, sum(row[7] for row in ticks) / _TICKS


def resident_mib(pid: int) -> float:
    """Return the resident memory of the process and its descendants in MiB."""
    return sum(_resident_kib(member) for member in family(pid)) / 1024


def _ticks(pid: int) -> int:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0
    fields = stat[stat.rindex(")") + 2 :].split()
    return sum(int(ticks) for ticks in fields[11:15])


def _resident_kib(pid: int) -> int:
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
