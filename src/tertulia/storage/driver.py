"""The one SQLite library of the process, and how a connection of ours is set up.

Never `import sqlite3` elsewhere: two copies of SQLite that open one file in one process drop each other's POSIX locks
when either closes (sqlite.org/howtocorrupt.html, 2.2). Alembic, backups and the command line connect here too.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tertulia.kernel.errors import TertuliaError
from tertulia.storage.writer import StorageRejected, StorageUnavailable, unstorable

if TYPE_CHECKING or sys.platform != "linux":
    import sqlite3 as library
else:
    import pysqlite3.dbapi2 as library

__all__ = ["Connection", "connect", "is_busy", "is_lasting", "library", "library_warning", "typed"]

Connection = library.Connection

_SAFE: Final = (3, 51, 3)
_PRAGMAS: Final = (
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=0",
)


def connect(
    path: Path, *, mode: Literal["ro", "rw", "rwc"] = "rw", busy_ms: int = 0, statements: int = 128
) -> library.Connection:
    """Open the database file; transactions are said explicitly (autocommit otherwise). Any thread may use it.

    `rw` fails on a file that is not there, `rwc` makes it (readable by its owner alone), `ro` refuses writes.
    """
    if mode == "rwc":
        path.touch(mode=0o600)
    connection = library.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if mode == 'ro' else 'rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=busy_ms / 1000,
        cached_statements=statements,
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        if mode == "rwc":
            connection.execute("PRAGMA journal_mode=WAL")
    except library.Error:
        connection.close()
        raise
    return connection


def library_warning() -> str | None:
    """Say what is wrong with the SQLite of this process, for the log and `doctor`; None when nothing is."""
    if library.sqlite_version_info >= _SAFE:
        return None
    return (
        f"SQLite {library.sqlite_version} of this Python may corrupt a database in WAL mode in rare races"
        f" (fixed in {'.'.join(map(str, _SAFE))}); use a Python that brings a newer one."
    )


_BUSY: Final = frozenset((5, 6))
_LASTING: Final = frozenset((8, 10, 11, 14, 15, 26))
_UNAVAILABLE: Final = {
    5: "another program holds its lock",
    6: "another program holds its lock",
    7: "memory is short",
    8: "it is read-only",
    9: "the statement was interrupted",
    10: "the disk reports an error",
    11: "the file is damaged",
    13: "the disk is full",
    14: "the file cannot be opened",
    15: "its lock file misbehaves",
    26: "the file is not a database",
}
"""What the operator must look for, by SQLite's primary result code (sqlite.org/rescode.html)."""


def is_busy(error: BaseException) -> bool:
    """Whether somebody else's lock is in the way."""
    return _primary_code(error) in _BUSY


def is_lasting(error: BaseException) -> bool:
    """Whether the open connection itself may be broken, so that a new one might do."""
    return _primary_code(error) in _LASTING


def typed(error: Exception) -> TertuliaError:
    """Say as an error of ours what the driver raised; the values of the statement stay out of it."""
    if isinstance(error, TertuliaError):
        return error
    if isinstance(error, library.Error):
        code = _primary_code(error)
        if code in _UNAVAILABLE:
            return StorageUnavailable(f"The database cannot be used now: {_UNAVAILABLE[code]}.", sqlite=code)
        return StorageRejected(f"SQLite refused a statement: {error}", details={"sqlite": code})
    return unstorable(error)


def _primary_code(error: BaseException) -> int:
    code: Any = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else 1
