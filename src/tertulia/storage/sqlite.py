"""Storage on a SQLite file: one connection writes, one reads pages, threads with their own do what takes longer."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from sqlalchemy import text

from tertulia.storage.checkpoint import Checkpointer
from tertulia.storage.driver import library, library_warning
from tertulia.storage.sqlite_reader import LongReaders, PageReader
from tertulia.storage.sqlite_writer import SqliteWriter
from tertulia.storage.statement import Bound, Statement
from tertulia.storage.unit import Outcome, Unit
from tertulia.storage.writer import CLOSED, Observer, Row, StorageUnavailable

_TICK: Final = 1.0
_LONG_READS: Final = 2
_ALIVE: Final = Statement(text("SELECT 1"))
_PROBE: Final = Statement(text("PRAGMA user_version=0"))
"""Writes the first page of the file as it is: the smallest write that shows whether writing works."""

_log = logging.getLogger(__name__)


class SqliteStorage:
    """See `writer.Storage`."""

    def __init__(self, path: Path, *, queue: int, observer: Observer | None) -> None:
        self._path = path
        self._queue = queue
        self._observer = observer
        self._is_open = False

    async def open(self) -> None:
        """Connect, making the file where there is none; raises `StorageUnavailable`."""
        if warning := library_warning():
            _log.warning(warning)
        self._writer = SqliteWriter(self._path, queue=self._queue, observer=self._observer)
        self._pages = PageReader(self._path)
        try:
            await asyncio.to_thread(self._writer.open)
            self._pages.open()
        except (library.Error, OSError) as error:
            await self._writer.close()
            raise StorageUnavailable(f"The database {self._path} cannot be opened: {error}.") from error
        self._threads = ThreadPoolExecutor(_LONG_READS + 1, thread_name_prefix="tertulia-storage")
        self._long = LongReaders(self._path, self._threads, _LONG_READS)
        self._checkpointer = Checkpointer(self._path, self._writer, self._threads)
        self._keeper = asyncio.create_task(self._keep())
        self._is_open = True

    async def close(self) -> None:
        """Commit what waits, then disconnect; the last one out empties the log."""
        if not self._is_open:
            return
        self._is_open = False
        await self._writer.drain()
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        self._long.interrupt()
        await asyncio.to_thread(self._threads.shutdown)
        for part in (self._pages, self._long, self._checkpointer):
            part.close()
        await self._writer.close()

    def commit(self, unit: Unit) -> asyncio.Future[Outcome]:
        """Hand a unit over."""
        return self._writer.add(unit)

    def on_outside_write(self, callback: Callable[[], None]) -> None:
        """Call back when another process has written."""
        self._writer.on_outside_write(callback)

    async def fetch(self, bound: Bound) -> list[Row]:
        """Read a page on the loop itself."""
        self._require_open()
        return await self._pages.fetch(bound)

    async def fetch_long(self, bound: Bound) -> list[Row]:
        """Read on a thread."""
        self._require_open()
        return await self._long.fetch(bound)

    async def healthy(self) -> bool:
        """Read, and where the last write failed, write."""
        self._writer.require_file()
        await self.fetch(_ALIVE())
        if self._writer.trouble is not None:
            await self.commit(Unit(None, (), (_PROBE(),), durable=True))
        return True

    async def scrub(self) -> None:
        """Empty the write-ahead log."""
        await self._checkpointer.empty_log()

    def _require_open(self) -> None:
        if not self._is_open:
            raise StorageUnavailable(CLOSED)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._writer.look_outside()
            self._writer.expire_stalled()
            with contextlib.suppress(StorageUnavailable):  # units and `healthy` tell it to somebody
                self._writer.require_file()
            await self._checkpointer.tick()
