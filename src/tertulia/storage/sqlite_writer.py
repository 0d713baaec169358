"""The group commit of SQLite: statements on the loop in capped batches, the synced COMMIT on a thread.

A writing thread would be starved by the interpreter lock beside a busy loop, so only the fsync leaves the loop
(design notes, 3). While it runs nobody touches the connection.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from tertulia.kernel.errors import TertuliaError
from tertulia.storage.backlog import Backlog, Entry
from tertulia.storage.driver import Connection, connect, is_busy, is_lasting, library, typed
from tertulia.storage.hand import Hand
from tertulia.storage.statement import Bound
from tertulia.storage.unit import COMMITTED, Guard, Outcome, Refused, Unit
from tertulia.storage.writer import Observer, StorageRejected, StorageUnavailable

MOST_UNITS: Final = 512
MOST_SECONDS: Final = 0.002
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.025
_STATEMENTS: Final = 512
_GONE: Final = "The database file was removed or replaced under the running server. Stop it, put the file back, start."
_STALLED: Final = "The disk has not ended a write for too long."
_LOCKED: Final = "Another program has held the lock of the database for too long."

Batch = list[tuple[Entry, Outcome]]


class SqliteWriter:
    """Owns the one connection that writes."""

    def __init__(self, path: Path, *, queue: int, observer: Observer | None) -> None:
        self._path = path
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._backlog = Backlog(queue, self._wake)
        self._waiting = self._backlog.waiting
        self._hand = Hand("tertulia-commit")
        self._connection: Connection | None = None
        self._cursor: Any = None
        self._synced: bool | None = None
        self._version: int | None = None
        self._armed = False
        self._committing = False
        self._holders = 0
        self._pause = _FIRST_PAUSE
        self._watchers: list[asyncio.Future[None]] = []
        self._callbacks: list[Callable[[], None]] = []
        self._wrote = False
        self._inode = 0
        self._gone = False
        self.commits = 0
        self.trouble: StorageUnavailable | None = None

    def open(self) -> None:
        """Connect, making the file where there is none. Blocks while the file is locked; raises `library.Error`."""
        self._adopt(connect(self._path, mode="rwc", busy_ms=5000, statements=_STATEMENTS))
        self._inode = self._path.stat().st_ino

    def add(self, unit: Unit) -> asyncio.Future[Outcome]:
        """Queue a unit for the next batch."""
        return self._backlog.add(unit)

    def on_outside_write(self, callback: Callable[[], None]) -> None:
        """Call back when another connection has written."""
        self._callbacks.append(callback)

    def look_outside(self) -> None:
        """See whether another connection has written, unless a COMMIT is running: the next batch looks then."""
        if self._committing or self._connection is None:
            return
        try:
            version = self._cursor.execute("PRAGMA data_version").fetchone()[0]
        except library.Error:
            return  # the next batch meets it again, and has somebody to tell
        if version != self._version:
            self._version = version
            for callback in self._callbacks:
                self._loop.call_soon(callback)

    def require_file(self) -> None:
        """See that the path still leads to the open file: into one that was removed SQLite writes without a word.

        Raises `StorageUnavailable`, as every unit then does, until the file is back.
        """
        try:
            gone = self._path.stat().st_ino != self._inode
        except OSError:
            gone = True
        self._gone = gone
        if gone:
            raise StorageUnavailable(_GONE)

    def expire_stalled(self) -> None:
        """Let no unit wait for ever behind a COMMIT that the disk does not end."""
        if self._committing:
            self._backlog.expire(_STALLED)

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """Let no batch begin inside; units wait."""
        self._holders += 1
        try:
            while self._committing:
                await self._next_end()
            yield
        finally:
            self._holders -= 1
            self._arm()

    async def drain(self) -> None:
        """Take no more units and end those that wait."""
        self._backlog.close()
        while self._waiting or self._committing:
            await self._next_end()

    async def close(self) -> None:
        """Drain and disconnect."""
        await self.drain()
        await asyncio.to_thread(self._disconnect)
        self._hand.close()

    # The turn: one batch from BEGIN to COMMIT

    def _wake(self) -> None:
        if not (self._armed or self._committing or self._holders):
            self._armed = True
            self._loop.call_soon(self._turn)

    def _arm(self) -> None:
        if self._waiting:
            self._wake()
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)
        self._watchers.clear()

    def _turn(self) -> None:
        self._armed = False
        if self._holders or self._committing:
            return
        if not self._waiting:
            self._arm()
            return
        if self._gone:
            self._fail_all(StorageUnavailable(_GONE))
            return
        started = perf_counter()
        synced = self._wants_sync()
        try:
            self._begin(synced)
        except library.Error as error:
            self._not_begun(error)
            return
        self._pause = _FIRST_PAUSE
        batch = self._run_batch(started + MOST_SECONDS)
        if batch is None:
            self._arm()
        elif synced and self._wrote:
            self._committing = True
            self._hand.do(self._commit, partial(self._ended, batch, started, synced))
        else:
            self._ended(batch, started, synced, self._commit_here())

    def _wants_sync(self) -> bool:
        if self._waiting[0].alone:
            return self._waiting[0].unit.durable
        return any(entry.unit.durable for entry in islice(self._waiting, MOST_UNITS))

    def _begin(self, synced: bool) -> None:  # noqa: FBT001 - private
        if self._connection is None:
            self._adopt(connect(self._path, statements=_STATEMENTS))
        if self._synced is not synced:
            # Outside a transaction, where alone it has an effect.
            self._cursor.execute("PRAGMA synchronous=FULL" if synced else "PRAGMA synchronous=NORMAL")
            self._synced = synced
        self._cursor.execute("BEGIN IMMEDIATE")
        self._wrote = False
        self.look_outside()

    def _not_begun(self, error: Exception) -> None:
        if is_busy(error):
            self._backlog.expire(_LOCKED)
            self._armed = True
            self._loop.call_later(self._pause, self._turn)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return
        self._give_up_connection(error)
        self._fail_all(self._judge(error))

    def _fail_all(self, fault: TertuliaError) -> None:
        while self._waiting:
            self._waiting.popleft().fail(fault)
        self._arm()

    def _run_batch(self, until: float) -> Batch | None:
        """Run units in order until a cap; None when one failed, and everything is as before."""
        batch: Batch = []
        while self._waiting and len(batch) < MOST_UNITS:
            entry = self._waiting[0]
            if entry.alone and batch:
                break
            self._waiting.popleft()
            try:
                outcome = self._run(entry.unit)
            except Exception as error:  # noqa: BLE001 - whatever a value does to the driver, its unit fails alone
                self._undo(batch, entry, error)
                return None
            batch.append((entry, outcome))
            if entry.alone or perf_counter() > until:
                break
        return batch

    def _run(self, unit: Unit) -> Outcome:
        for guard in unit.guards:
            if not self._passes(guard):
                return Refused(guard.name)
        for bound in unit.writes:
            self._execute(bound)
            self._wrote = True
        return COMMITTED

    def _passes(self, guard: Guard) -> bool:
        statement = guard.bound.statement
        cursor = self._execute(guard.bound)
        count = len(cursor.fetchall()) if statement.sqlite.returns else cursor.rowcount
        if count > 0 and statement.writes:
            self._wrote = True
            if count != guard.expect:
                raise StorageRejected(f"The guard {guard.name!r} wrote {count} rows instead of {guard.expect}.")
        return count == guard.expect

    def _execute(self, bound: Bound) -> Any:
        form = bound.statement.sqlite
        values = bound.values if form.pack is None else form.pack(bound.values)
        return self._cursor.execute(form.sql, values)

    # The end of a batch

    def _commit(self) -> None:
        self._cursor.execute("COMMIT")

    def _commit_here(self) -> Exception | None:
        try:
            self._commit()
        except library.Error as error:
            return error
        return None

    def _ended(self, batch: Batch, started: float, synced: bool, error: Exception | None) -> None:  # noqa: FBT001
        self._committing = False
        if error is not None:
            self._not_committed(batch, error)
        else:
            self.trouble = None
            self.commits += self._wrote
            for entry, outcome in batch:
                entry.settle(outcome)
        self._arm()
        if error is None and self._observer is not None:
            self._observer(len(batch), perf_counter() - started, synced)

    def _not_committed(self, batch: Batch, error: Exception) -> None:
        """Replay each unit by itself: nothing says whose fault it was."""
        self._roll_back(error)
        entries = [entry for entry, _ in batch]
        if len(entries) == 1:
            entries[0].fail(self._judge(error))
            return
        for entry in entries:
            entry.alone = True
        self._backlog.put_back(entries)

    def _undo(self, batch: Batch, guilty: Entry, error: Exception) -> None:
        """Roll back; the innocent run again together, the guilty by itself, unless it was already."""
        self._roll_back(error)
        if not batch:
            guilty.fail(self._judge(error))
            return
        guilty.alone = True
        self._backlog.put_back([*(entry for entry, _ in batch), guilty])

    def _roll_back(self, error: Exception) -> None:
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._cursor.execute("ROLLBACK")
        except library.Error as second:
            self._give_up_connection(second)
        self._give_up_connection(error)

    def _judge(self, error: Exception) -> TertuliaError:
        fault = typed(error)
        if isinstance(fault, StorageUnavailable):
            self.trouble = fault
        return fault

    # The connection

    def _adopt(self, connection: Connection) -> None:
        connection.execute("PRAGMA busy_timeout=0")
        self._connection = connection
        self._cursor = connection.cursor()
        self._synced = None
        if self._version is None:
            self._version = self._cursor.execute("PRAGMA data_version").fetchone()[0]
        else:
            self._version = -1  # another connection counts from elsewhere: take it for an outside write

    def _give_up_connection(self, error: Exception) -> None:
        """Connect anew for the next batch where the file itself gave the error."""
        if is_lasting(error):
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            connection.close()

    async def _next_end(self) -> None:
        watcher: asyncio.Future[None] = self._loop.create_future()
        self._watchers.append(watcher)
        await watcher
