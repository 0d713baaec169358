"""The port of storage: commit units, fetch rows. `sqlite` and `postgres` are its two adapters.

Behaviour that they share: a full queue, a database that cannot be reached for five seconds and a disk that takes no
more are `StorageUnavailable` or `StorageOverloaded` on the unit's future, never an empty answer; a unit that the
database will not have is `StorageRejected`, alone, whoever shared its transaction. Both go on by themselves when the
cause is gone. Rows are tuples: ids are `bytes`, JSON is `str`, truth is 0 or 1, whole numbers are `int`.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.storage.form import UnstorableTextError
from tertulia.storage.statement import Bound
from tertulia.storage.unit import Outcome, Unit

Row = tuple[Any, ...]

_UNFIT: Final = re.compile(r":memory:|\?")

CLOSED: Final = "The database is closed: the server is stopping."
PATIENCE: Final = 5.0
"""Seconds for which a unit or a read waits for a database that is locked or away."""


class StorageUnavailable(TertuliaError):
    """The database cannot be written or read now: locked, full, read-only, broken or gone. Try again later."""

    kind = Kind.UNAVAILABLE
    code = "storage_unavailable"

    def __init__(self, message: str, *, retry_after: float | None = 1.0, **details: Any) -> None:
        super().__init__(message, details=details, retry_after=retry_after)


class StorageOverloaded(TertuliaError):
    """More units wait than the queue holds. Try again later."""

    kind = Kind.UNAVAILABLE
    code = "overloaded"


class StorageRejected(TertuliaError):
    """The database will never have this: a broken constraint, a value that it cannot hold. A fault in the caller."""

    kind = Kind.INTERNAL
    code = "storage_rejected"


def unstorable(error: Exception) -> StorageRejected:
    """Say that a value cannot be stored: which kind of fault, but not the value."""
    if isinstance(error, UnstorableTextError | UnicodeError):
        return StorageRejected("Text with a NUL or half a surrogate pair cannot be stored.")
    return StorageRejected(f"A value cannot be stored: {type(error).__name__}.")


class DatabaseUrlInvalid(TertuliaError):
    """The database URL names neither a SQLite file nor a Postgres database."""

    kind = Kind.INVALID
    code = "database_url_invalid"


class DriverMissing(TertuliaError):
    """The database URL asks for Postgres, and its driver is not installed."""

    kind = Kind.INVALID
    code = "database_driver_missing"


Observer = Callable[[int, float, bool], None]
"""Told after each batch: its units, its seconds from BEGIN to the end of COMMIT, and whether it was synced."""


class Storage(Protocol):
    """One open database."""

    async def open(self) -> None:
        """Connect; raises `StorageUnavailable`."""
        ...

    async def close(self) -> None:
        """Take no more units, commit those that wait, disconnect."""
        ...

    def commit(self, unit: Unit) -> asyncio.Future[Outcome]:
        """Hand a unit over; the future carries its outcome, or `StorageUnavailable`, `-Overloaded`, `-Rejected`.

        A unit that was handed over is committed even if nobody awaits the future any more.
        """
        ...

    async def fetch(self, bound: Bound) -> list[Row]:
        """Read a page: few rows by an index. Sees every unit whose future is done."""
        ...

    async def fetch_long(self, bound: Bound) -> list[Row]:
        """Read what may take longer than a millisecond (search, export) without standing in anybody's way."""
        ...

    async def healthy(self) -> bool:
        """Answer True when rows can be read and written; raises `StorageUnavailable` that says what is wrong."""
        ...

    async def scrub(self) -> None:
        """After an erasure: let the write-ahead log keep nothing of what was deleted."""
        ...

    def on_outside_write(self, callback: Callable[[], None]) -> None:
        """Call back on the loop when another process has written, so that caches are dropped.

        Within a second of the write, and never later than the next unit; sometimes without cause.
        """
        ...


def parse_url(url: str) -> Path | str:
    """Give the path of a SQLite database, or the connection string of a Postgres one.

    Raises `DatabaseUrlInvalid`, which does not repeat the URL, for it may hold a password.
    """
    scheme, mark, rest = url.partition("://")
    dialect = scheme.partition("+")[0]
    if mark and dialect in ("postgresql", "postgres"):
        return f"postgresql://{rest}"
    if mark and dialect == "sqlite" and rest.startswith("/") and len(rest) > 1 and not _UNFIT.search(rest):
        return Path(rest[1:])
    raise DatabaseUrlInvalid("The database URL must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE.")
