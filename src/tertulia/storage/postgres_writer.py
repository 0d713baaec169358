"""The group commit of Postgres: one batch after another on one connection, which is dialled anew whenever it is lost.

Units of one key never share a batch, so that each guard sees what the unit before it wrote. A unit is told that it
was not written only when that is known: after a connection lost in COMMIT the server is asked what became of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Final

import msgspec
from sqlalchemy import Text, bindparam, text

from tertulia.kernel.errors import TertuliaError
from tertulia.storage.backlog import Backlog, Entry
from tertulia.storage.line import Fault, Line, LineLost
from tertulia.storage.postgres_batch import Batch, Guilty, Packed, command, pack, query
from tertulia.storage.postgres_fault import is_stale, is_transient, typed
from tertulia.storage.statement import Statement
from tertulia.storage.unit import Outcome, Unit
from tertulia.storage.writer import PATIENCE, Observer, StorageUnavailable, unstorable

MOST_UNITS: Final = 256
_CHECK: Final = 0.25
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_AWAY: Final = "The database server cannot be reached."
_UNKNOWN: Final = "The connection broke during COMMIT; the server does not say whether the unit was written."
_FATE: Final = Statement(
    text("SELECT pg_xact_status(CAST(:xid AS xid8))").bindparams(bindparam("xid", type_=Text)), "xid"
)
_SESSION: Final = tuple(
    map(
        command,
        (
            # Durable means at least this; an operator may have chosen more.
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            # Longer than a deadlock takes to be found (1 s), or both sides would give up.
            "SET lock_timeout TO '2s'",
            # A process that is stopped in the middle of a batch must not hold its locks for ever.
            "SET idle_in_transaction_session_timeout TO '10s'",
            "LISTEN tertulia_changed",
        ),
    )
)

_log = logging.getLogger(__name__)


class _Doubt(msgspec.Struct, frozen=True):
    """A batch whose COMMIT was sent and not answered; until when (loop time) its units may wait for the truth."""

    batch: Batch
    until: float


class PostgresWriter:
    """Owns the one connection of the process that writes, and that hears of outside writes."""

    def __init__(self, url: str, *, queue: int, observer: Observer | None, announce: bool) -> None:
        self._url = url
        self._observer = observer
        self._announce = announce
        self._loop = asyncio.get_running_loop()
        self._something = asyncio.Event()
        self._backlog = Backlog(queue, self._something.set)
        self._waiting = self._backlog.waiting
        self._line: Line | None = None
        self._dialling: asyncio.Task[Line | None] | None = None
        self._pause = _FIRST_PAUSE
        self._doubt: _Doubt | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._worker: asyncio.Task[None] | None = None
        self._closing = False
        self.trouble: StorageUnavailable | None = None

    async def open(self) -> None:
        """Connect, and begin to work; raises `StorageUnavailable`."""
        self._line = await self._dial()
        if self._line is None:
            raise self.trouble or StorageUnavailable(_AWAY)
        self._worker = asyncio.create_task(self._work())

    def add(self, unit: Unit) -> asyncio.Future[Outcome]:
        """Queue a unit for the next batch."""
        return self._backlog.add(unit)

    def on_outside_write(self, callback: Callable[[], None]) -> None:
        """Call back when another connection has announced a write."""
        self._callbacks.append(callback)

    async def close(self) -> None:
        """Take no more units, end those that wait, and disconnect."""
        self._backlog.close()
        self._closing = True
        self._something.set()
        if self._worker is not None:
            await self._worker
        if self._dialling is not None:
            self._dialling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._dialling
        if self._line is not None:
            self._line.close()

    # The loop of batches

    async def _work(self) -> None:
        while not self._is_over():
            try:
                line = await self._reach()
                if line is not None:
                    await self._step(line)
            except Exception:  # noqa: BLE001 - the only task that writes outlives any fault of ours
                _log.exception("writing to Postgres broke off")
                self._hang_up()
                await asyncio.sleep(_FIRST_PAUSE)

    async def _step(self, line: Line) -> None:
        if self._doubt is not None:
            await self._resolve(line, self._doubt)
        elif self._waiting:
            if units := self._pack(self._backlog.take(MOST_UNITS)):
                await self._run(Batch(line, units, announce=self._announce))
        elif not self._closing:
            self._something.clear()
            await self._something.wait()

    def _is_over(self) -> bool:
        return self._closing and not self._waiting and self._doubt is None

    def _pack(self, entries: list[Entry]) -> list[Packed]:
        units: list[Packed] = []
        for entry in entries:
            try:
                units.append(pack(entry))
            except Exception as error:  # noqa: BLE001 - a value that is no value of its column raises any kind
                entry.fail(unstorable(error))
        return units

    async def _run(self, batch: Batch) -> None:
        started = perf_counter()
        try:
            await batch.run()
        except Guilty as guilty:
            await self._undo(batch, guilty)
        except LineLost:
            self._hang_up()
            self._broken(batch)
        except Exception as error:  # noqa: BLE001 - a fault of ours ends its batch, not all writing
            _log.exception("a batch failed")
            await self._undo(batch, Guilty(None, unstorable(error)))
        else:
            if self._observer is not None:
                # Not called here: whatever it raises must not end the only task that writes.
                self._loop.call_soon(self._observer, len(batch.units), perf_counter() - started, batch.durable)
            self._settle(batch)

    def _settle(self, batch: Batch) -> None:
        self.trouble = None
        for entry, outcome in batch.outcomes():
            entry.settle(outcome)

    # When a batch fails

    async def _undo(self, batch: Batch, guilty: Guilty) -> None:
        """Roll back; the innocent run again together, the guilty by itself, unless it was already."""
        try:
            await batch.roll_back()
        except (LineLost, Guilty):
            self._hang_up()
        if isinstance(guilty.cause, Fault) and is_stale(guilty.cause):
            self._hang_up()
        if len(batch.units) == 1 and not self._deserves_another_try(batch.entries[0], guilty.cause):
            batch.entries[0].fail(self._judge(guilty.cause))
            return
        for entry in batch.entries if guilty.entry is None else (guilty.entry,):
            entry.alone = True
        self._backlog.put_back(batch.entries)

    def _deserves_another_try(self, entry: Entry, cause: Fault | TertuliaError) -> bool:
        if not isinstance(cause, Fault):
            return False
        in_time = self._loop.time() < entry.since + PATIENCE
        return (is_transient(cause) and in_time) or (is_stale(cause) and not entry.alone)

    def _judge(self, cause: Fault | TertuliaError) -> TertuliaError:
        error = typed(cause) if isinstance(cause, Fault) else cause
        if isinstance(error, StorageUnavailable):
            self.trouble = error
        return error

    def _broken(self, batch: Batch) -> None:
        """The connection was lost: nothing was written unless COMMIT was on its way."""
        if batch.committing:
            self._doubt = _Doubt(batch, self._loop.time() + PATIENCE)
        else:
            self._backlog.put_back(batch.entries)

    async def _resolve(self, line: Line, doubt: _Doubt) -> None:
        """Ask what became of a COMMIT (PostgreSQL manual, `pg_xact_status`)."""
        try:
            answers = await line.exchange([query(_FATE(doubt.batch.xid))])
        except (LineLost, Fault):
            self._hang_up()
            return
        fate = answers[0].rows()[0][0]
        if fate == "in progress":
            await asyncio.sleep(_FIRST_PAUSE)
            self._expire()
            return
        self._doubt = None
        if fate == "committed":
            self._settle(doubt.batch)
        elif fate == "aborted":
            self._backlog.put_back(doubt.batch.entries)
        else:
            self._leave_open(doubt.batch)

    def _leave_open(self, batch: Batch) -> None:
        for entry in batch.entries:
            entry.fail(StorageUnavailable(_UNKNOWN, outcome="unknown"))

    # The connection

    async def _reach(self) -> Line | None:
        """Give the line, or after a while None, when units may have expired."""
        if self._line is not None and not self._line.lost:
            return self._line
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._dial())
        await asyncio.wait((self._dialling,), timeout=_CHECK)
        if self._dialling.done():
            dialled, self._dialling = self._dialling, None
            self._line = dialled.result()
            if self._line is not None:
                self._tell_outside()  # what was announced meanwhile was not heard
        self._expire()
        return self._line

    async def _dial(self) -> Line | None:
        line: Line | None = None
        try:
            line = await Line.connect(
                self._url, patience=PATIENCE, on_notice=self._noticed, on_lost=self._something.set
            )
            await line.exchange(_SESSION)
        except (LineLost, Fault) as error:
            if line is not None:
                line.close()
            self.trouble = StorageUnavailable(f"{_AWAY} {error}".strip())
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return None
        self._pause = _FIRST_PAUSE
        return line

    def _expire(self) -> None:
        self._backlog.expire(_AWAY)
        if self._doubt is not None and self._loop.time() > self._doubt.until:
            doubt, self._doubt = self._doubt, None
            self._leave_open(doubt.batch)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _noticed(self, sender: int) -> None:
        if self._line is None or sender != self._line.backend:
            self._tell_outside()

    def _tell_outside(self) -> None:
        for callback in self._callbacks:
            self._loop.call_soon(callback)
