"""The bytes of one request body, as they come in and as they are asked for."""

import asyncio

from tertulia.asgi.wire import BodyTooLarge, RequestTimeout


class Intake:
    """Collects the pieces in a list and joins them once; `b += piece` would be quadratic.

    `size` counts all bytes that came, also those that were dropped; `wanted` tells that somebody reads, `complete`
    that all is there.
    """

    __slots__ = ("_dropping", "_failure", "_pieces", "_waiter", "complete", "size", "wanted")

    def __init__(self) -> None:
        self.size = 0
        self.complete = False
        self.wanted = False
        self._pieces: list[bytes] = []
        self._dropping = False
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, piece: bytes) -> None:
        """Take a piece."""
        self.size += len(piece)
        if not self._dropping:
            self._pieces.append(piece)
        self._wake()

    def end(self) -> None:
        """Note that all is there."""
        self.complete = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """Note that the rest will not come: whoever reads gets this error."""
        if not self.complete and self._failure is None:
            self._failure = error
            self._wake()

    def drop(self) -> None:
        """Forget what came and what comes; it is only counted."""
        self._dropping = True
        self._pieces = []

    def idle(self) -> bool:
        """Tell whether pieces pile up here that nobody has asked for."""
        return not self.wanted and not self._dropping

    def holds(self) -> bool:
        """Tell whether there is something to take."""
        return bool(self._pieces)

    def taken(self) -> bytes:
        """Take out what is there now."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    async def read(self, limit: int, timeout_s: float) -> bytes:
        """Give the whole body, each time that it is asked for; raises as `Wire.body`."""
        self.wanted = True
        while not self.complete and self.size <= limit:
            await self.more(timeout_s)
        if self.size > limit:
            self.drop()
            raise BodyTooLarge(limit)
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    async def more(self, timeout_s: float | None) -> None:
        """Wait until something has come.

        Raises `RequestTimeout`, and what `fail` was given.
        """
        if self._failure is not None:
            raise self._failure
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._waiter
        except TimeoutError:
            raise RequestTimeout("body", timeout_s or 0) from None
        finally:
            self._waiter = None
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
