"""The database after a run: one usage row, one transfer, one covered digest for every answer that was counted.

Read with the standard library's SQLite, read-only, in the bench's own process, when the server has ended: two SQLite
libraries on one open file would undo each other's locks.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAGIC: Final = b"SQLite format 3\0"
_USAGE: Final = "SELECT count(*) FROM usage"
_TRANSFERS: Final = "SELECT count(*) FROM credit_transfer"
_COVERED: Final = "SELECT coalesce(sum(covers), 0) FROM audit_link WHERE typeof(covers) = 'integer'"


@dataclass(frozen=True)
class Books:
    """Rows in the database; None: no such table."""

    usage: int | None = None
    transfers: int | None = None
    covered: int | None = None


@dataclass(frozen=True)
class Finding:
    """What the books say of one kind of row; `holds`: as the law wants it."""

    what: str
    wanted: int
    found: int | None
    holds: bool


def read(home: Path) -> Books:
    """Return the books of a home whose server is not running."""
    for database in _databases(home):
        books = _read(database)
        if books.usage is not None:
            return books
    return Books()


def compare(before: Books, after: Books, *, answered: int, charged: bool) -> list[Finding]:
    """Hold what was written between two readings against the answers counted by the load generator."""
    usage = _between(before.usage, after.usage)
    findings = [Finding("usage rows", answered, usage, usage == answered)]
    if charged:
        covered = _between(before.covered, after.covered)
        findings.append(Finding("covered digests", answered, covered, covered is not None and covered >= answered))
        transfers = _between(before.transfers, after.transfers)
        findings.append(Finding("credit transfers", answered, transfers, transfers == answered))
    return findings


def _between(before: int | None, after: int | None) -> int | None:
    return None if after is None else after - (before or 0)


def _databases(home: Path) -> Iterator[Path]:
    for path in sorted(home.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) == _MAGIC:
                    yield path


def _read(database: Path) -> Books:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return Books(*(_count(connection, query) for query in (_USAGE, _TRANSFERS, _COVERED)))


def _count(connection: sqlite3.Connection, query: str) -> int | None:
    try:
        return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError as error:
        if "no such" in str(error):
            return None
        raise
