"""The floor: the least that this stack can do for a relayed completion, against which the server is measured.

A bare ASGI function under uvicorn decodes the request with msgspec, encodes it anew, sends it to the upstream over a
pooled `asyncio.Protocol` whose answers httptools parses, and relays them. No keys, no limits, no database, no log.

Run: BENCH_UPSTREAM_PORT=9100 python -m uvicorn floor:app --loop uvloop --http httptools --no-access-log
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, cast

import httptools
import msgspec

_PORT: Final = int(os.environ.get("BENCH_UPSTREAM_PORT", "9100"))
_REQUEST_HEAD: Final = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Turn(msgspec.Struct):
    """One message of the prompt."""

    role: str
    content: str


class Question(msgspec.Struct):
    """The request, as far as a relay must know it."""

    model: str
    messages: list[Turn]
    stream: bool = False
    temperature: float | None = None


class Completion(msgspec.Struct):
    """The blocking answer; decoded to see that it is one, relayed as it came."""

    id: str
    choices: list[msgspec.Raw]
    usage: dict[str, int]


_question: Final = msgspec.json.Decoder(Question)
_completion: Final = msgspec.json.Decoder(Completion)
_json: Final = msgspec.json.Encoder()


class Upstream(asyncio.Protocol):
    """One pooled connection to the upstream, lent to one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.done = False
        self._pieces: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio)."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its ancestry

    def data_received(self, data: bytes) -> None:
        """Parse what came (asyncio)."""
        self._parser.feed_data(data)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Treat an end of the connection as the end of the answer (asyncio)."""
        self.done = True
        self._wake()

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the answer (httptools' callback)."""
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Note the answer's end (httptools' callback)."""
        self.done = True

    def ask(self, body: bytes) -> None:
        """Send one request."""
        self.done = False
        self._pieces = []
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(_REQUEST_HEAD % len(body) + body)

    async def more(self) -> list[bytes]:
        """Return what came since the last call; empty only when the answer is at its end."""
        while not self._pieces and not self.done:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None
        pieces, self._pieces = self._pieces, []
        return pieces

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


_pool: Final[list[Upstream]] = []


async def _connection() -> Upstream:
    while _pool:
        upstream = _pool.pop()
        if not upstream.transport.is_closing():
            return upstream
    _, upstream = await asyncio.get_running_loop().create_connection(Upstream, "127.0.0.1", _PORT)
    return upstream


async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Relay one request (ASGI 3)."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    question = _question.decode(body)
    upstream = await _connection()
    upstream.ask(_json.encode(question))
    return await (_stream(upstream, send) if question.stream else _answer(upstream, send))


async def _stream(upstream: Upstream, send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while pieces := await upstream.more():
        await send({"type": "http.response.body", "body": b"".join(pieces), "more_body": True})
    _pool.append(upstream)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer(upstream: Upstream, send: Send) -> None:
    pieces: list[bytes] = []
    while not upstream.done:
        pieces += await upstream.more()
    _pool.append(upstream)
    body = b"".join(pieces)
    _completion.decode(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            return await send({"type": "lifespan.shutdown.complete"})
