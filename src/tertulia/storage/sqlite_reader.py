"""Reading SQLite: pages on the loop, long reads on threads."""

import asyncio
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, cast

from tertulia.storage.driver import Connection, connect, is_busy, is_lasting, typed
from tertulia.storage.statement import Bound
from tertulia.storage.writer import CLOSED, PATIENCE, Row, StorageUnavailable

_BUSY_PAUSE: Final = 0.005


class PageReader:
    """One connection, used on the loop's thread: a page takes microseconds, a thread would take more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Connection | None = None

    def open(self) -> None:
        """Connect; raises `library.Error`."""
        self._connection = _connect(self._path, busy_ms=0)
        # The first read maps the log's index. It must not come when the disk is full: then it could not be made.
        self._connection.execute("SELECT 1 FROM sqlite_master").fetchone()

    async def fetch(self, bound: Bound) -> list[Row]:
        """Give the rows; raises `StorageUnavailable`, `StorageRejected`."""
        waited = 0.0
        while True:
            try:
                return self._read(bound)
            except Exception as error:  # noqa: BLE001 - a driver raises any kind for a value that it cannot take
                if is_lasting(error):
                    self.close()
                if not is_busy(error) or waited > PATIENCE:
                    raise typed(error) from None
            await asyncio.sleep(_BUSY_PAUSE)
            waited += _BUSY_PAUSE

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, bound: Bound) -> list[Row]:
        if self._connection is None:
            self.open()
        return _rows(cast("Connection", self._connection), bound)


class LongReaders:
    """A connection each for as many long reads as there may be at a time; more of them wait."""

    def __init__(self, path: Path, threads: Executor, count: int) -> None:
        self._path = path
        self._threads = threads
        self._slots = asyncio.Semaphore(count)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closing = False

    async def fetch(self, bound: Bound) -> list[Row]:
        """Give the rows; a caller that goes away interrupts the reading. Raises as `PageReader.fetch`."""
        async with self._slots:
            if self._closing:
                raise StorageUnavailable(CLOSED)
            try:
                return await self._read(bound)
            except Exception as error:  # noqa: BLE001 - a driver raises any kind for a value that it cannot take
                raise typed(error) from None

    def interrupt(self) -> None:
        """Begin no more reads, and break off those that run; each raises `StorageUnavailable`."""
        self._closing = True
        for connection in self._busy:
            connection.interrupt()

    def close(self) -> None:
        """Disconnect, when no read runs any more."""
        while self._idle:
            self._idle.pop().close()

    async def _read(self, bound: Bound) -> list[Row]:
        connection = self._idle.pop() if self._idle else _connect(self._path, busy_ms=int(PATIENCE * 1000))
        self._busy.add(connection)
        reading = asyncio.get_running_loop().run_in_executor(self._threads, _rows, connection, bound)
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            connection.interrupt()
            await asyncio.wait((reading,))
            reading.exception()  # that it was interrupted is no news
            raise
        finally:
            self._busy.discard(connection)
            self._idle.append(connection)


def _connect(path: Path, *, busy_ms: int) -> Connection:
    connection = connect(path)
    connection.execute("PRAGMA query_only=ON")
    connection.execute(f"PRAGMA busy_timeout={busy_ms:d}")
    return connection


def _rows(connection: Connection, bound: Bound) -> list[Row]:
    form = bound.statement.sqlite
    values = bound.values if form.pack is None else form.pack(bound.values)
    return connection.execute(form.sql, values).fetchall()
