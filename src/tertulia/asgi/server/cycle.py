"""One request and its answer on our server: the wire and its push."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

from tertulia.asgi.callbacks import call_each
from tertulia.asgi.intake import Intake
from tertulia.asgi.wire import BodyTooLarge, ClientLeft, Header, declared_length
from tertulia.generation.push import Push

_log = logging.getLogger(__name__)
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_LINES: Final = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(200, 600)}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_BODILESS: Final = frozenset({204, 304})

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Line(Protocol):
    """What a cycle asks of its connection."""

    transport: asyncio.Transport
    half_closed: bool

    def fixed_headers(self) -> bytes:
        """Give the lines that every head begins with: `Date` and `Server`."""
        ...

    def writable(self) -> bool:
        """Tell whether the write buffer is below its high-water mark."""
        ...

    def read_on(self) -> None:
        """Take up reading, where it was paused for a body that nobody had asked for."""
        ...

    def answered(self, cycle: "Cycle") -> None:
        """Go on to the next request, or close."""
        ...


class Cycle:
    """One request and its answer; also the `Push` of its stream.

    `keep_alive` may be taken back until the head is sent. `gone`: the client left before it had the whole answer.
    """

    __slots__ = (
        "_chunked",
        "_ended",
        "_line",
        "_on_gone",
        "_on_room",
        "_waits_for_100",
        "finished",
        "gone",
        "intake",
        "keep_alive",
        "scope",
        "status",
    )

    def __init__(self, line: Line, scope: Message, *, keep_alive: bool, expects_100: bool) -> None:
        self.scope = scope
        self.status = 0
        self.finished = False
        self.gone = False
        self.keep_alive = keep_alive
        self.intake = Intake()
        self._line = line
        self._waits_for_100 = expects_100
        self._chunked = False
        self._ended: asyncio.Future[None] | None = None
        self._on_gone: list[Callable[[], None]] = []
        self._on_room: list[Callable[[], None]] = []

    async def body(self, limit: int, timeout_s: float) -> bytes:
        """Read the whole request body; see `Wire.body`."""
        if not self.intake.complete:
            self._ask_for_body(limit)
        return await self.intake.read(limit, timeout_s)

    async def piece(self, limit: int, timeout_s: float | None) -> bytes:
        """Read the next piece of the request body; see `Wire.piece`."""
        if not self.intake.complete:
            self._ask_for_body(limit)
        return await self.intake.piece(limit, timeout_s)

    async def reply(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer."""
        self.send(status, headers, body)

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer, without waiting."""
        length = b"" if status in _BODILESS else b"content-length: %d\r\n" % len(body)
        head = self._head(status, headers, length)
        if not self._line.transport.is_closing():
            self._line.transport.write(head + body if length and self.scope["method"] != "HEAD" else head)
        self._finish()

    def stream(self, status: int, headers: Sequence[Header]) -> Push:
        """Send the head, and open the body for writing."""
        self._chunked = self.scope["http_version"] != "1.0"  # there, the end of the connection ends the body
        head = self._head(status, headers, _CHUNKED if self._chunked else b"")
        if self._line.half_closed:
            self.leave()
        if not self._line.transport.is_closing():
            self._line.transport.write(head)
        if self.scope["method"] == "HEAD":
            self._finish()
        return self

    async def ended(self) -> None:
        """Wait until the answer is whole, or the client left."""
        if not self.finished and not self.gone:
            self._ended = asyncio.get_running_loop().create_future()
            await self._ended

    def abort(self) -> None:
        """Cut the connection."""
        self._line.transport.abort()

    def write(self, data: bytes) -> bool:
        """Send bytes of the body; see `Push.write`."""
        if self.gone or self.finished:
            return False
        if data:
            self._line.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return self._line.writable()

    def close(self) -> None:
        """End the body."""
        if not self.gone and not self.finished:
            if self._chunked:
                self._line.transport.write(_LAST_CHUNK)
            self._finish()

    def on_room(self, call: Callable[[], None]) -> None:
        """Register what is called when the buffer has emptied after it was full."""
        self._on_room.append(call)

    def on_gone(self, call: Callable[[], None]) -> None:
        """Register what is called when the client leaves; at once if it has left, or has all that it will get."""
        if self._line.half_closed:
            self.leave()
        if self.gone or self.finished:
            call_each((call,))
        else:
            self._on_gone.append(call)

    def room(self) -> None:
        """Note that the write buffer has emptied."""
        call_each(tuple(self._on_room))

    def closes_its_side(self) -> None:
        """Note that the client will send no more: whoever looks after a leaving client takes it for one that left.

        A plain answer is still sent: a client may close its side and read on.
        """
        self.keep_alive = False
        self.intake.fail(ClientLeft())
        if self._on_gone or self.status:
            self.leave()

    def leave(self) -> None:
        """Note that nobody is there for the answer any more."""
        if self.gone or self.finished:
            return
        self.gone = True
        self.intake.fail(ClientLeft())
        calls, self._on_gone = self._on_gone, []
        call_each(calls)
        self._wake()

    async def run(self, app: Application, receive: Receive, send: Send) -> None:
        """Call the application; an answer that it leaves unfinished is cut off."""
        try:
            await app(self.scope, receive, send)
        except Exception:  # noqa: BLE001 - the last guard: nothing that an application does may end the server
            _log.exception("the application failed")
        finally:
            if not self.finished:
                self.abort()

    def _ask_for_body(self, limit: int) -> None:
        """Let the client send its body, where it waits to be asked, or was made to wait."""
        if declared_length(self.scope["headers"]) > limit:
            raise BodyTooLarge(limit)
        if self._waits_for_100:
            self._waits_for_100 = False
            if not self.intake.size:
                self._line.transport.write(_CONTINUE)
        self._line.read_on()

    def _head(self, status: int, headers: Sequence[Header], framing: bytes) -> bytes:
        if self.status:
            raise RuntimeError("this exchange has its answer already")
        if self._waits_for_100 and not self.intake.complete:
            self.keep_alive = False
        parts = [_LINES[status], self._line.fixed_headers()]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (framing, b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        head = b"".join(parts)
        lines = parts[1].count(b"\n") + 2 + len(headers) + bool(framing) + (not self.keep_alive)
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise ValueError("a header of the answer holds a line break or a NUL")
        self.status = status
        return head

    def _finish(self) -> None:
        self.finished = not self.gone
        self._on_gone.clear()
        self._on_room.clear()
        if not self.intake.complete:
            self.intake.drop()
        self._wake()
        self._line.answered(self)

    def _wake(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
