"""The units that wait for a batch, and what becomes of each."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from tertulia.kernel.errors import TertuliaError
from tertulia.storage.unit import Outcome, Unit
from tertulia.storage.writer import CLOSED, PATIENCE, StorageOverloaded, StorageUnavailable

_MOST_PASSED_BY: Final = 2000


class Entry:
    """A unit in the queue; `alone` after it shared a batch that failed, so that it may fail by itself."""

    __slots__ = ("alone", "future", "since", "unit")

    def __init__(self, unit: Unit, future: asyncio.Future[Outcome], since: float) -> None:
        self.unit = unit
        self.future = future
        self.since = since
        self.alone = False

    def settle(self, outcome: Outcome) -> None:
        """Tell the caller, if it still listens."""
        if not self.future.done():
            self.future.set_result(outcome)

    def fail(self, error: TertuliaError) -> None:
        """Tell the caller of an error, if it still listens."""
        if not self.future.done():
            self.future.set_exception(error)


class Backlog:
    """First come, first served; `wake` is called whenever a unit was added."""

    def __init__(self, limit: int, wake: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._wake = wake
        self._closed = False
        self.waiting: deque[Entry] = deque()

    def add(self, unit: Unit) -> asyncio.Future[Outcome]:
        """Queue a unit; the future fails at once when the queue is full or closed."""
        future: asyncio.Future[Outcome] = self._loop.create_future()
        if self._closed:
            future.set_exception(StorageUnavailable(CLOSED))
        elif len(self.waiting) >= self._limit:
            future.set_exception(StorageOverloaded("Too many writes are waiting. Try again.", retry_after=1.0))
        else:
            self.waiting.append(Entry(unit, future, self._loop.time()))
            self._wake()
        return future

    def close(self) -> None:
        """Take no more units."""
        self._closed = True

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Give a batch that was rolled back its old place, at the front."""
        self.waiting.extendleft(reversed(list(entries)))

    def take(self, most: int) -> list[Entry]:
        """Take the next batch: one unit a key, in order; or one unit that must run alone."""
        batch: list[Entry] = []
        later: list[Entry] = []
        keys: set[Hashable] = set()
        while self.waiting and len(batch) < most and len(later) < _MOST_PASSED_BY:
            entry = self.waiting[0]
            if entry.alone and (batch or later):
                break
            self.waiting.popleft()
            if entry.unit.key in keys:
                later.append(entry)
                continue
            batch.append(entry)
            if entry.alone:
                break
            if entry.unit.key is not None:
                keys.add(entry.unit.key)
        self.put_back(later)
        return batch

    def expire(self, reason: str) -> None:
        """Fail every unit that has waited as long as any may."""
        latest = self._loop.time() - PATIENCE
        while self.waiting and self.waiting[0].since <= latest:
            self.waiting.popleft().fail(StorageUnavailable(reason))
