"""Plain ASGI over a cycle: `receive` and `send`, for applications that do not know our push."""

import asyncio
import sys
from typing import Final

from tertulia.asgi.server.cycle import Cycle, Message
from tertulia.asgi.wire import ClientLeft, Header

_UNBOUNDED: Final = sys.maxsize


class PlainAsgi:
    """`receive` and `send` of one exchange (ASGI HTTP specification, 2.3)."""

    __slots__ = ("_cycle", "_head", "_told", "_waiter")

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self._head: tuple[int, list[Header]] | None = None
        self._told = False
        self._waiter: asyncio.Future[None] | None = None

    async def receive(self) -> Message:
        """Give the next message of the request."""
        if self._told:
            self._cycle.on_gone(_nothing)  # so that a client that closes its side counts as one that left
            await self._cycle.ended()
            return {"type": "http.disconnect"}
        try:
            piece = await self._cycle.piece(_UNBOUNDED, None)
        except ClientLeft:
            return {"type": "http.disconnect"}
        self._told = self._cycle.intake.complete
        return {"type": "http.request", "body": piece, "more_body": not self._told}

    async def send(self, message: Message) -> None:
        """Take a message of the answer."""
        if message["type"] == "http.response.start":
            headers = ((name.lower(), value) for name, value in message.get("headers", ()))
            self._head = (message["status"], [each for each in headers if each[0] != b"content-length"])
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._head is not None:
            (status, headers), self._head = self._head, None
            if not more:
                await self._cycle.reply(status, headers, body)
                return
            push = self._cycle.stream(status, headers)
            push.on_room(self._wake)
            push.on_gone(self._wake)
        if not self._cycle.write(body) and not self._cycle.gone and not self._cycle.finished:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if not more:
            self._cycle.close()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _nothing() -> None:
    """Do nothing: being registered is what counts."""
