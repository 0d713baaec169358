"""The machine, its disk and the versions that figures belong to; and what one commit costs on that disk."""

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
import time
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Final

import meter
from load import Spread, spread

_PACKAGES: Final = ("tertulia", "uvloop", "httptools", "uvicorn", "msgspec", "pysqlite3", "sqlalchemy", "aiohttp")
_PROBE: Final = "CREATE TABLE turn (id BLOB PRIMARY KEY, at INTEGER, body TEXT) WITHOUT ROWID"


def describe(folder: Path, cores: Collection[int]) -> dict[str, object]:
    """Name what the figures were taken on: processor, cores used, memory, kernel, the disk under `folder`."""
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name"),
        "cores": sorted(cores),
        "memory_mib": int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "disk": disk(folder),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "versions": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


class Company:
    """What else runs on the measured cores: figures taken in company are worth less."""

    def __init__(self, cores: Collection[int]) -> None:
        self._cores = cores
        self._began = self._look()

    def shares(self) -> dict[str, float]:
        """Return what others on this machine, and other machines on its host, have taken since: 0 to 1 of the cores."""
        now = self._look()
        wall, own, busy, stolen = (after - before for after, before in zip(now, self._began, strict=True))
        whole = wall * len(self._cores)
        return {"others": round(max(0.0, busy - own) / whole, 4), "stolen": round(stolen / whole, 4)}

    def _look(self) -> tuple[float, float, float, float]:
        return time.monotonic(), meter.cpu_seconds(os.getpid()), *meter.busy_seconds(self._cores)


def disk(folder: Path) -> dict[str, str]:
    """Name the file system under a folder, from /proc/self/mountinfo (proc(5)), and the model of its device."""
    found: tuple[str, list[str]] = ("", [])
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if folder.resolve().is_relative_to(fields[4]) and len(fields[4]) >= len(found[0]):
            found = fields[4], fields
    mount, fields = found
    kind, device, options = fields[fields.index("-") + 1 :][:3]
    return {"mount": mount, "kind": kind, "device": device, "options": options, "model": _disk_model(fields[2])}


def commits(folder: Path, count: int = 150) -> Spread:
    """Return what one durable SQLite commit of one small row takes here (WAL, synchronous=FULL), in milliseconds."""
    path = folder / "commits.db"
    times: list[float] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(_PROBE)
        for n in range(count):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO turn VALUES (?, ?, ?)", (n.to_bytes(16, "big"), n, "a turn " * 30))
            began = time.perf_counter()
            connection.execute("COMMIT")
            times.append(time.perf_counter() - began)
    for left in folder.glob("commits.db*"):
        left.unlink()
    return spread(times)


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown 0"


def _disk_model(device: str) -> str:
    block = Path("/sys/dev/block") / device
    for place in (block / "device" / "model", block / ".." / "device" / "model"):
        if place.exists():
            return place.read_text().strip()
    return block.resolve().name if block.exists() else "unknown"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"  # a copy without its history
