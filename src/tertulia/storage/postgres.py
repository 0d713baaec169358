"""Storage on Postgres: one connection writes, a few read pages, two read what takes longer."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text

from tertulia.storage.line import Fault, Line, LineLost, Query
from tertulia.storage.postgres_batch import command, query
from tertulia.storage.postgres_fault import is_stale, typed
from tertulia.storage.postgres_writer import PostgresWriter
from tertulia.storage.statement import Bound, Statement
from tertulia.storage.unit import Outcome, Unit
from tertulia.storage.writer import (
    CLOSED,
    PATIENCE,
    DatabaseUrlInvalid,
    Observer,
    Row,
    StorageUnavailable,
    unstorable,
)

_PAGE_READS: Final = 4
_LONG_READS: Final = 2
_PAUSE: Final = 0.1
_ALIVE: Final = Statement(text("SELECT 1"))
_PROBE: Final = Statement(text("SELECT pg_current_xact_id()::text"))
"""Takes a transaction id, so that its COMMIT is written: the smallest write that shows whether writing works."""
_READ_ONLY: Final = command("SET default_transaction_read_only TO on")


class PostgresStorage:
    """See `writer.Storage`."""

    def __init__(self, url: str, *, queue: int, observer: Observer | None, announce: bool) -> None:
        try:
            conninfo_to_dict(url)
        except ProgrammingError:
            raise DatabaseUrlInvalid("The Postgres URL cannot be read: postgresql://USER:PASSWORD@HOST/DB.") from None
        self._url = url
        self._queue = queue
        self._observer = observer
        self._announce = announce
        self._is_open = False

    async def open(self) -> None:
        """Connect; raises `StorageUnavailable`."""
        self._writer = PostgresWriter(self._url, queue=self._queue, observer=self._observer, announce=self._announce)
        self._pages = _Lines(self._url, _PAGE_READS, command("SET statement_timeout TO '5s'"))
        self._long = _Lines(self._url, _LONG_READS)
        await self._writer.open()
        self._is_open = True

    async def close(self) -> None:
        """Commit what waits, then disconnect."""
        if not self._is_open:
            return
        self._is_open = False
        await self._writer.close()
        self._pages.close()
        self._long.close()

    def commit(self, unit: Unit) -> asyncio.Future[Outcome]:
        """Hand a unit over."""
        return self._writer.add(unit)

    def on_outside_write(self, callback: Callable[[], None]) -> None:
        """Call back when another program has announced a write."""
        self._writer.on_outside_write(callback)

    async def fetch(self, bound: Bound) -> list[Row]:
        """Read a page."""
        self._require_open()
        try:
            async with asyncio.timeout(PATIENCE):
                return await _read(self._pages, bound)
        except TimeoutError:
            raise StorageUnavailable("The database did not answer in time.") from None

    async def fetch_long(self, bound: Bound) -> list[Row]:
        """Read on one of the connections that are kept for this."""
        self._require_open()
        return await _read(self._long, bound)

    async def healthy(self) -> bool:
        """Read, and where the last write failed, write."""
        await self.fetch(_ALIVE())
        if self._writer.trouble is not None:
            await self.commit(Unit(None, (), (_PROBE(),), durable=True))
        return True

    async def scrub(self) -> None:
        """Nothing to do: what the log of a Postgres keeps, and for how long, is the operator's."""

    def _require_open(self) -> None:
        if not self._is_open:
            raise StorageUnavailable(CLOSED)


class _Lines:
    """As many connections as reads may run at a time, each made when first wanted; more reads wait."""

    def __init__(self, url: str, most: int, *session: Query) -> None:
        self._url = url
        self._session = (_READ_ONLY, *session)
        self._slots = asyncio.Semaphore(most)
        self._idle: list[Line] = []
        self._busy: set[Line] = set()
        self._closed = False

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncGenerator[Line]:
        """Lend a line; raises `LineLost`. One that is left in the middle of an exchange is not used again."""
        async with self._slots:
            if self._closed:
                raise StorageUnavailable(CLOSED)
            line = self._take() or await self._new()
            self._busy.add(line)
            try:
                yield line
            except asyncio.CancelledError:
                await line.abandon()
                raise
            finally:
                self._busy.discard(line)
                if not line.lost:
                    self._idle.append(line)

    def renew(self) -> None:
        """Disconnect those that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Disconnect all; reads that run break off with `StorageUnavailable`."""
        self._closed = True
        self.renew()
        for line in list(self._busy):
            line.close()

    def _take(self) -> Line | None:
        while self._idle:
            line = self._idle.pop()
            if not line.lost:
                return line
        return None

    async def _new(self) -> Line:
        line = await Line.connect(self._url)
        try:
            await line.exchange(self._session)
        except BaseException:
            line.close()
            raise
        return line


async def _read(lines: _Lines, bound: Bound) -> list[Row]:
    try:
        asked = query(bound)
    except Exception as error:  # noqa: BLE001 - a value that is no value of its column raises any kind
        raise unstorable(error) from None
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE
    tried_stale = False
    while True:
        try:
            async with lines.one() as line:
                return (await line.exchange([asked]))[0].rows()
        except LineLost:
            if loop.time() > until:
                raise StorageUnavailable("The database server cannot be reached.") from None
            await asyncio.sleep(_PAUSE)
        except Fault as fault:
            if tried_stale or not is_stale(fault):
                raise typed(fault) from None
            tried_stale = True
            lines.renew()
