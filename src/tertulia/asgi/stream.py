"""The wire over plain ASGI `receive` and `send`, for servers other than ours.

Slower than our own server's: a task reads, so that a client that leaves is noticed on a silent stream too, and while
a stream is open another one writes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from tertulia.asgi.callbacks import call_each
from tertulia.asgi.intake import WINDOW, Intake
from tertulia.asgi.wire import BodyTooLarge, ClientLeft, Header, declared_length
from tertulia.generation.push import Push

Message = MutableMapping[str, Any]
_BODILESS: Final = frozenset({204, 304})


class AsgiWire:
    """One HTTP call of an ASGI server; also the `Push` of its stream.

    Use it as a context: its tasks end with it.
    """

    def __init__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.status = 0
        self.finished = False
        self._declared = declared_length(scope["headers"])
        self._to_head = scope["method"] == "HEAD"
        self._receive = receive
        self._send = send
        self._intake = Intake()
        self._wanted = asyncio.Event()
        self._gone = False
        self._closed = False
        self._queue: list[bytes] = []
        self._queued = 0
        self._full = False
        self._written = asyncio.Event()
        self._ended = asyncio.Event()
        self._on_room: list[Callable[[], None]] = []
        self._on_gone: list[Callable[[], None]] = []
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for task in (self._reader, self._writer) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def body(self, limit: int, timeout_s: float) -> bytes:
        """Read the whole request body; see `Wire.body`."""
        if self._declared > limit:
            raise BodyTooLarge(limit)
        self._wanted.set()
        self._watch()
        return await self._intake.read(limit, timeout_s)

    async def piece(self, limit: int, timeout_s: float) -> bytes:
        """Read the next piece of the body; see `Wire.piece`."""
        if self._declared > limit:
            raise BodyTooLarge(limit)
        self._wanted.set()
        self._watch()
        return await self._intake.piece(limit, timeout_s)

    async def reply(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer."""
        length = [] if status in _BODILESS else [(b"content-length", b"%d" % len(body))]
        await self._start(status, [*headers, *length])
        await self._send_body(b"" if self._to_head else body, more=False)

    def stream(self, status: int, headers: Sequence[Header]) -> Push:
        """Send the head, and open the body for writing."""
        if self.status:
            raise RuntimeError("this exchange has its answer already")
        self.status = status
        self._writer = asyncio.create_task(self._write_on(status, headers))
        self._watch()
        if self._to_head:
            self.close()
        return self

    async def ended(self) -> None:
        """Wait until the stream was closed, or the client left."""
        await self._ended.wait()

    def on_gone(self, call: Callable[[], None]) -> None:
        """Register what is called when the client leaves; at once if it has left, or has all that it will get."""
        if self._gone or self._closed or self.finished:
            call_each((call,))
        else:
            self._on_gone.append(call)
            self._watch()

    def abort(self) -> None:
        """Leave the answer unfinished: the server then cuts the connection."""
        self._leave()

    def write(self, data: bytes) -> bool:
        """Send bytes of the body; see `Push.write`."""
        if self._gone or self._closed:
            return False
        if data:
            self._queue.append(data)
            self._queued += len(data)
            self._full = self._full or self._queued > WINDOW
            self._written.set()
        return not self._full

    def on_room(self, call: Callable[[], None]) -> None:
        """Register what is called when the buffer has emptied after it was full."""
        self._on_room.append(call)

    def close(self) -> None:
        """End the body."""
        self._closed = True
        self._written.set()

    def _watch(self) -> None:
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_on())

    async def _read_on(self) -> None:
        """Read the body as far as it is wanted, then wait for the client to leave."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
                return
            self._intake.feed(message.get("body", b""))
            if not message.get("more_body", False):
                self._intake.end()
            elif self._intake.crowded():
                self._wanted.clear()
                await self._wanted.wait()

    async def _write_on(self, status: int, headers: Sequence[Header]) -> None:
        await self._guarded(self._send({"type": "http.response.start", "status": status, "headers": list(headers)}))
        while not self._gone:
            data, self._queue, self._queued = b"".join(self._queue), [], 0
            if data:
                await self._send_body(data, more=True)
            elif self._closed:
                await self._send_body(b"", more=False)
                return
            else:
                self._have_room()
                await self._written.wait()
            self._written.clear()

    async def _start(self, status: int, headers: Sequence[Header]) -> None:
        if self.status:
            raise RuntimeError("this exchange has its answer already")
        self.status = status
        await self._guarded(self._send({"type": "http.response.start", "status": status, "headers": list(headers)}))

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        await self._guarded(self._send({"type": "http.response.body", "body": body, "more_body": more}))
        if not more and not self._gone:
            self.finished = True
            self._on_gone.clear()
            self._ended.set()

    async def _guarded(self, sending: Awaitable[None]) -> None:
        """Send; since ASGI 2.4 a server says by an `OSError` that the client has left."""
        try:
            await sending
        except OSError:
            self._leave()

    def _have_room(self) -> None:
        if self._full:
            self._full = False
            call_each(tuple(self._on_room))

    def _leave(self) -> None:
        if self._gone or self.finished:
            return
        self._gone = True
        self._intake.fail(ClientLeft())
        calls, self._on_gone = self._on_gone, []
        call_each(calls)
        self._ended.set()
