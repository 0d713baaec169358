"""What of a log reaches the disk, and when: the two grades of a generation.

A durable one's entries are on disk within 250 ms or 64 deltas, whichever is first; an ephemeral one's never.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, final

import structlog

from tertulia.generation import rows
from tertulia.generation.access import find_stored
from tertulia.generation.ending import Contributor, durable_unit, ephemeral_unit
from tertulia.generation.log import Log
from tertulia.storage.statement import Bound
from tertulia.storage.unit import Guard, Outcome, Refused, Unit
from tertulia.storage.writer import Storage
from tertulia.turn.codec import encode_events
from tertulia.turn.ending import Ending
from tertulia.turn.events import Ended

FLUSH_S: Final = 0.25
FLUSH_ENTRIES: Final = 64

_log = structlog.get_logger("tertulia.generation")


class Disk(Protocol):
    """Where a running generation's entries go."""

    def written(self, log: Log) -> None:
        """Take note of new entries; never waits."""
        ...

    def running(self, started_at: int, writes: Sequence[Bound]) -> None:
        """Note that its turn has come after a wait; never waits itself."""
        ...

    async def end(self, ending: Ending, closing: Ended, log: Log) -> bool:
        """Commit the end; False where another process has ended it.

        Raises `StorageUnavailable`, `StorageOverloaded`, `StorageRejected`.
        """
        ...


@final
class NoDisk:
    """An ephemeral generation's: only its usage is kept."""

    def __init__(self, storage: Storage, contributors: Sequence[Contributor]) -> None:
        self._storage = storage
        self._contributors = contributors

    def written(self, log: Log) -> None:
        """Nothing reaches the disk."""

    def running(self, started_at: int, writes: Sequence[Bound]) -> None:
        """Nothing reaches the disk."""

    async def end(self, ending: Ending, closing: Ended, log: Log) -> bool:
        """Commit the usage row."""
        await self._storage.commit(ephemeral_unit(ending, self._contributors))
        return True


@final
class EventRows:
    """A durable generation's: batches of entries, one at a time, each under the guard of its epoch.

    `fenced` is called when the guard refuses: another process has taken the generation over.
    """

    __slots__ = ("_contributors", "_epoch", "_fenced", "_flight", "_id", "_on_disk", "_storage", "_timer")

    def __init__(
        self,
        storage: Storage,
        contributors: Sequence[Contributor],
        *,
        generation_id: bytes,
        on_disk: int,
        fenced: Callable[[], None],
        epoch: int = 0,
    ) -> None:
        self._storage = storage
        self._contributors = contributors
        self._id = generation_id
        self._epoch = epoch
        self._on_disk = on_disk
        self._fenced = fenced
        self._timer: asyncio.TimerHandle | None = None
        self._flight: asyncio.Future[Outcome] | None = None

    def written(self, log: Log) -> None:
        """Arm the timer, or flush at once when enough has come together."""
        if len(log.entries) - self._on_disk >= FLUSH_ENTRIES:
            self._flush(log)
        elif self._timer is None and self._flight is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush, log)

    def running(self, started_at: int, writes: Sequence[Bound]) -> None:
        """Write that it runs now."""
        guard = Guard(rows.begin_running(started_at, self._id, self._epoch), name="queued")
        noted = self._storage.commit(Unit(key=self._id, guards=(guard,), writes=tuple(writes), durable=False))
        noted.add_done_callback(_heard)

    async def end(self, ending: Ending, closing: Ended, log: Log) -> bool:
        """Commit the end with all entries that are not on disk yet."""
        while self._flight is not None:
            await asyncio.wait((self._flight,))
        self._disarm()
        tail = log.entries[self._on_disk :]
        if log.ended is None:
            tail.append(closing)
        unit = durable_unit(ending, self._contributors, epoch=self._epoch, first_n=self._on_disk + 1, tail=tail)
        if not isinstance(await self._storage.commit(unit), Refused):
            return True
        # A COMMIT whose end we never learned may have been ours: with our epoch, nobody else can have ended it.
        found = await find_stored(self._storage, self._id)
        return found is not None and found.epoch == self._epoch and found.state == ending.outcome

    def _flush(self, log: Log) -> None:
        self._disarm()
        entries = log.entries[self._on_disk :]
        if self._flight is not None or not entries or log.ended is not None:
            return
        first, last = self._on_disk + 1, len(log.entries)
        unit = Unit(
            key=self._id,
            guards=(Guard(rows.flush(last, self._id, self._epoch), name="running"),),
            writes=(rows.insert_events(self._id, self._epoch, first, last, encode_events(entries)),),
            durable=False,
        )
        self._flight = self._storage.commit(unit)
        self._flight.add_done_callback(lambda done: self._flushed(done, last, log))

    def _flushed(self, done: "asyncio.Future[Outcome]", last: int, log: Log) -> None:
        self._flight = None
        error = None if done.cancelled() else done.exception()
        if error is not None:
            # The entries stay in memory; the next flush, or the ending, takes them along.
            _log.warning("events_not_flushed", generation_id=self._id.hex(), error=type(error).__name__)
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush, log)
        elif isinstance(done.result(), Refused):
            self._fenced()
        else:
            self._on_disk = last
            if len(log.entries) > last and log.ended is None:
                self.written(log)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _heard(done: "asyncio.Future[Outcome]") -> None:
    """Take the outcome of a note that nobody waits for; the ending writes the same again."""
    if not done.cancelled() and done.exception() is not None:
        _log.warning("state_not_written", error=type(done.exception()).__name__)
