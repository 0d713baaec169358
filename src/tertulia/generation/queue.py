"""One fair queue for each provider: as many calls at once as it allows, then a turn for each user in turn."""

import asyncio
from collections import OrderedDict, deque
from typing import Final, final

import msgspec

from tertulia.kernel.bounds import AtLeastOne, Seconds
from tertulia.kernel.errors import Kind, TertuliaError


class QueueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[queue]`: how many calls run at once over all providers (0: as many as they allow), and how many may wait."""

    max_running: int = 0
    max_waiting: AtLeastOne = 1000
    max_waiting_per_user: AtLeastOne = 50
    max_wait_s: Seconds = 60


class QueueFull(TertuliaError):
    """One user has as many requests waiting as one user may have."""

    kind = Kind.LIMITED
    code = "queue_full"


class Overloaded(TertuliaError):
    """More requests wait than the server takes, or one has waited too long."""

    kind = Kind.UNAVAILABLE
    code = "overloaded"


_SMOOTHING: Final = 0.2
_FIRST_GUESS_S: Final = 2.0


@final
class Queue:
    """Places at one provider. `most` is its `max_concurrent`; None lets everybody in at once."""

    def __init__(self, settings: QueueSettings, most: int | None) -> None:
        self._settings = settings
        self._most = most
        self._running = 0
        self._waiting: OrderedDict[bytes, deque[Place]] = OrderedDict()
        self._count = 0
        self._mean_s = _FIRST_GUESS_S
        self.changes = 0
        """Counts up whenever somebody's position may have changed."""

    def enter(self, user_id: bytes) -> "Place":
        """Take a place: to run at once where one is free, else to wait.

        Raises `QueueFull` for this user's share, `Overloaded` for everybody's.
        """
        place = Place(self, user_id)
        if self._most is None or (self._running < self._most and not self._count):
            self._let_in(place)
            return place
        own = self._waiting.get(user_id)
        if own is not None and len(own) >= self._settings.max_waiting_per_user:
            raise QueueFull("You have too many requests waiting; let some of them end.", retry_after=self._mean_s)
        if self._count >= self._settings.max_waiting:
            raise Overloaded("Too many requests wait for this provider.", retry_after=self.estimate(self._count))
        self._waiting.setdefault(user_id, deque()).append(place)
        self._count += 1
        return place

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._count

    @property
    def max_wait_s(self) -> float:
        """How long anybody waits at most."""
        return self._settings.max_wait_s

    def position(self, place: "Place") -> int:
        """Count from 1 where a waiting place stands, users taking turns."""
        own = self._waiting[place.user_id]
        depth = own.index(place)
        ahead = 0
        passed = False
        for user_id, line in self._waiting.items():
            passed = passed or user_id == place.user_id
            ahead += min(len(line), depth + (0 if passed else 1))
        return ahead + 1

    def estimate(self, position: int) -> float:
        """Estimate in seconds how long the one at this position waits."""
        return max(0.05, position * self._mean_s / max(1, self._most or 1))

    def left(self, place: "Place", *, ran_s: float | None) -> None:
        """Take a place back, whether it ran or still waited, and let the next in."""
        self.changes += 1
        if ran_s is None:
            self._forget(place)
            return
        self._mean_s += _SMOOTHING * (ran_s - self._mean_s)
        self._running -= 1
        while self._count and (self._most is None or self._running < self._most):
            self._let_in(self._next())

    def _next(self) -> "Place":
        user_id, line = self._waiting.popitem(last=False)
        place = line.popleft()
        if line:
            self._waiting[user_id] = line
        self._count -= 1
        return place

    def _forget(self, place: "Place") -> None:
        line = self._waiting.get(place.user_id)
        if line is None or place not in line:
            return
        line.remove(place)
        self._count -= 1
        if not line:
            del self._waiting[place.user_id]

    def _let_in(self, place: "Place") -> None:
        self._running += 1
        place.let_in()


@final
class Place:
    """One request's place; `leave` must be called exactly once, whatever comes of it."""

    __slots__ = ("_in_since", "_left", "_queue", "_turn", "user_id")

    def __init__(self, queue: Queue, user_id: bytes) -> None:
        self.user_id = user_id
        self._queue = queue
        self._turn: asyncio.Future[None] | None = None
        self._in_since: float | None = None
        self._left = False

    @property
    def waiting(self) -> bool:
        """Whether its turn has not come."""
        return self._in_since is None and not self._left

    @property
    def position(self) -> int:
        """Where it stands, from 1."""
        return self._queue.position(self)

    @property
    def changes(self) -> int:
        """The queue's count of changes: as long as it stays, so does the position."""
        return self._queue.changes

    def estimate_ms(self, position: int) -> int:
        """How long one at this position will still wait, in milliseconds."""
        return int(self._queue.estimate(position) * 1000)

    @property
    def max_wait_s(self) -> float:
        """How long it waits at most."""
        return self._queue.max_wait_s

    async def turn(self, within_s: float) -> bool:
        """Wait for its turn, for some seconds; False when it has not come."""
        if not self.waiting:
            return True
        self._turn = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._turn,), timeout=within_s)
        return not self.waiting

    def let_in(self) -> None:
        """Its turn has come."""
        self._in_since = asyncio.get_running_loop().time()
        self.wake()

    def wake(self) -> None:
        """End the wait early, so that who waits looks again."""
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def leave(self) -> None:
        """Give the place back; idempotent."""
        if self._left:
            return
        self._left = True
        since = self._in_since
        self._queue.left(self, ran_s=None if since is None else asyncio.get_running_loop().time() - since)
