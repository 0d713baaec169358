"""The bytes of one request body, as they come in and as they are asked for."""

import asyncio
from typing import Final

from tertulia.asgi.wire import BodyTooLarge, RequestTimeout

WINDOW: Final = 65536
"""How many bytes may wait here for somebody to ask for them, before the client is made to wait."""


class Intake:
    """Collects the pieces in a list and joins them once; `b += piece` would be quadratic.

    `size` counts all bytes that came, also those that were dropped; `complete` tells that all is there.
    """

    __slots__ = ("_dropping", "_failure", "_pieces", "_waiter", "_waiting", "_whole", "complete", "size")

    def __init__(self) -> None:
        self.size = 0
        self.complete = False
        self._waiting = 0
        self._whole = False
        self._dropping = False
        self._pieces: list[bytes] = []
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, piece: bytes) -> None:
        """Take a piece."""
        self.size += len(piece)
        if not self._dropping:
            self._waiting += len(piece)
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

    def crowded(self) -> bool:
        """Tell whether more piles up here than is asked for."""
        return self._waiting > WINDOW and not self._whole and not self._dropping

    async def read(self, limit: int, timeout_s: float) -> bytes:
        """Give the whole body, each time that it is asked for; raises as `Wire.body`."""
        self._whole = True
        while not self.complete and self.size <= limit:
            await self._more(timeout_s)
        self._bound(limit)
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    async def piece(self, limit: int, timeout_s: float | None) -> bytes:
        """Give what came since the last piece, at least a byte of it; empty at the end. Raises as `Wire.body`."""
        while not self._pieces and not self.complete:
            await self._more(timeout_s)
        self._bound(limit)
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        return b"".join(pieces)

    def _bound(self, limit: int) -> None:
        if self.size > limit:
            self.drop()
            raise BodyTooLarge(limit)

    async def _more(self, timeout_s: float | None) -> None:
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
