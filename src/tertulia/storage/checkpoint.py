"""Moving the write-ahead log of SQLite into the database file, beside the writer and not in it.

An automatic checkpoint would run inside a COMMIT and make one caller wait for the work of all. So a keeper does it
every second on a thread with its own connection: PASSIVE stands in nobody's way, but under constant writing it never
lets the log begin anew, so that one beyond `_LARGE` is restarted while the writer pauses for an instant.
"""

import asyncio
import logging
from concurrent.futures import Executor
from enum import Enum
from pathlib import Path
from typing import Final

from tertulia.storage.driver import Connection, connect, is_lasting, library, typed
from tertulia.storage.sqlite_writer import SqliteWriter
from tertulia.storage.writer import PATIENCE, StorageUnavailable

_LARGE: Final = 64 << 20
_KEPT: Final = 4 << 20
_BUSY_MS: Final = 50

_log = logging.getLogger(__name__)


class _Mode(Enum):
    """See sqlite.org/pragma.html#pragma_wal_checkpoint."""

    PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)"
    RESTART = "PRAGMA wal_checkpoint(RESTART)"
    TRUNCATE = "PRAGMA wal_checkpoint(TRUNCATE)"


class Checkpointer:
    """Owns the connection that checkpoints."""

    def __init__(self, path: Path, writer: SqliteWriter, threads: Executor) -> None:
        self._path = path
        self._log_file = path.with_name(f"{path.name}-wal")
        self._writer = writer
        self._threads = threads
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._seen = 0
        self._failing = False

    async def tick(self) -> None:
        """Do what the last second asks for. A failure is logged, and met again next time."""
        try:
            await self._tend()
        except library.Error as error:
            if not self._failing:
                _log.warning("checkpoint failed: %s", typed(error))
            self._failing = True
        else:
            self._failing = False

    async def empty_log(self) -> None:
        """Leave the log with no bytes. Raises `StorageUnavailable` when a reader stands in the way for 5 seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        try:
            while not await self._checkpoint_alone(_Mode.TRUNCATE):
                if loop.time() > until:
                    raise StorageUnavailable("A long read keeps the log of the database from being emptied.")
                await asyncio.sleep(0.02)
        except library.Error as error:
            raise typed(error) from error

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _tend(self) -> None:
        commits = self._writer.commits
        if commits != self._seen:
            self._seen = commits
            await self._checkpoint(_Mode.PASSIVE)
            if self._log_bytes() > _LARGE:
                await self._checkpoint_alone(_Mode.RESTART)
        elif self._log_bytes() > _KEPT:
            await self._checkpoint_alone(_Mode.TRUNCATE)

    async def _checkpoint_alone(self, mode: _Mode) -> bool:
        async with self._writer.held():
            return await self._checkpoint(mode)

    async def _checkpoint(self, mode: _Mode) -> bool:
        async with self._lock:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, mode)

    def _run(self, mode: _Mode) -> bool:
        """Run on a thread; answers whether it went through to the end."""
        if self._connection is None:
            self._connection = connect(self._path, busy_ms=_BUSY_MS)
        try:
            return self._connection.execute(mode.value).fetchone()[0] == 0
        except library.Error as error:
            if is_lasting(error):
                self.close()
            raise

    def _log_bytes(self) -> int:
        try:
            return self._log_file.stat().st_size
        except OSError:
            return 0
