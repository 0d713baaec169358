"""The fake over real HTTP: an upstream of OpenAI's wire, whose faults are real ones on a real socket.

`tertulia dev upstream --port N` runs it; the tests and the attacks do too.
"""

import asyncio
import socket
import struct
from typing import Any, Final, final

import httptools
import msgspec

from tertulia.providers.scripted.answer import Answer
from tertulia.providers.scripted.script import MODELS, script_of
from tertulia.providers.scripted.writing import encode, error_body
from tertulia.turn.content import Message
from tertulia.turn.request import Request

_JSON: Final = b"application/json"


class _Body(msgspec.Struct):
    """The part of a request that the fake reads by type."""

    model: str
    messages: list[Message]
    stream: bool = False


@final
class Upstream:
    """A listening fake.

    `asked` counts requests, `ended` answers that were sent to their end, `left` clients that went away before that;
    `GET /v1/counts` tells them. `last` is the newest request, `{"headers", "body"}`; `GET /v1/last` gives it.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.ended = 0
        self.left = 0
        self.last: dict[str, Any] = {"headers": {}, "body": None}
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and give the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def serve(self) -> None:
        """Go on until cancelled."""
        if self._server is not None:
            await self._server.serve_forever()

    async def close(self) -> None:
        """Stop listening, and break off what is open."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._open):
            connection.break_off()

    def opened(self, connection: "_Connection") -> None:
        """Note a connection."""
        self._open.add(connection)

    def closed(self, connection: "_Connection") -> None:
        """Forget a connection."""
        self._open.discard(connection)


@final
class _Connection(asyncio.Protocol):
    """One client: requests one after another."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._path = b""
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._answer: Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._upstream.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.closed(self)
        if self._answer is not None and not self._answer.over:
            self._upstream.left += 1
            self._answer.stop()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.break_off()

    def on_message_begin(self) -> None:
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        self._path = url.split(b"?", 1)[0]

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        body, self._chunks = b"".join(self._chunks), []
        method = self._parser.get_method()
        path = self._path.removeprefix(b"/v1").removeprefix(b"/inference")
        if method == b"GET" and path == b"/models":
            listed = [{"id": model, "object": "model", "owned_by": "scripted"} for model in MODELS]
            self.reply(200, encode({"object": "list", "data": listed}))
        elif method == b"GET" and path == b"/counts":
            counts = {"asked": self._upstream.asked, "ended": self._upstream.ended, "left": self._upstream.left}
            self.reply(200, encode(counts))
        elif method == b"GET" and path == b"/last":
            self.reply(200, encode(self._upstream.last))
        elif method == b"POST" and path == b"/chat/completions":
            self._complete(body)
        else:
            self.reply(404, error_body("no such path", None, "invalid_request_error"))

    def _complete(self, body: bytes) -> None:
        self._upstream.asked += 1
        try:
            asked = msgspec.json.decode(body, type=_Body)
            parameters = msgspec.json.decode(body)
            self._upstream.last = {"headers": self._headers, "body": parameters}
            request = Request(tuple(asked.messages), parameters, asked.stream)
            script = script_of(request, asked.model)
        except (msgspec.DecodeError, ValueError) as error:
            self.reply(400, error_body(str(error), None, "invalid_request_error"))
            return
        self._answer = Answer(self, request, asked.model, script)
        self._answer.begin()

    # what an answer does to the socket

    def reply(self, status: int, body: bytes, headers: bytes = b"", content_type: bytes = _JSON) -> None:
        """Send a whole answer."""
        head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n"
        self.write(head % (status, content_type, len(body), headers) + body)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def chunk(self, data: bytes) -> None:
        """Send bytes as one chunk of the body."""
        self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def done(self) -> None:
        """Count an answer that was sent to its end."""
        self._upstream.ended += 1

    def break_off(self) -> None:
        """Close the connection, what was written going out first."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Let the client see a reset, not an end."""
        if self._transport is not None:
            raw: socket.socket | None = self._transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
