"""The fake over real HTTP: an upstream of OpenAI's wire, whose faults are real ones on a real socket.

`tertulia dev upstream --port N` runs it; the tests and the attacks do too.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, final

import httptools
import msgspec

from tertulia.providers.scripted.script import (
    MODELS,
    Fault,
    Piece,
    Script,
    finish_of,
    pieces_of,
    script_of,
    usage_of,
)
from tertulia.turn.content import Message
from tertulia.turn.events import Image, Reasoning, Refusal, Text, ToolCallDelta, UsageSeen
from tertulia.turn.request import Request

_JSON: Final = b"application/json"
_HUGE: Final = 64 * 1024 * 1024
_encode = msgspec.json.encode


class _Body(msgspec.Struct):
    """The part of a request that the fake reads by type."""

    model: str
    messages: list[Message]
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    n: int = 1


@final
class Upstream:
    """A listening fake.

    `asked` counts requests, `ended` answers that were sent to their end, `left` clients that went away before that;
    `GET /v1/counts` tells them.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.ended = 0
        self.left = 0
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
        self._chunks: list[bytes] = []
        self._answer: _Answer | None = None

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

    def on_url(self, url: bytes) -> None:
        self._path = url.split(b"?", 1)[0]

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        body, self._chunks = b"".join(self._chunks), []
        method = self._parser.get_method()
        path = self._path.removeprefix(b"/v1").removeprefix(b"/inference")
        if method == b"GET" and path == b"/models":
            listed = [{"id": model, "object": "model", "owned_by": "scripted"} for model in MODELS]
            self.reply(200, _encode({"object": "list", "data": listed}))
        elif method == b"GET" and path == b"/counts":
            counts = {"asked": self._upstream.asked, "ended": self._upstream.ended, "left": self._upstream.left}
            self.reply(200, _encode(counts))
        elif method == b"POST" and path == b"/chat/completions":
            self._complete(body)
        else:
            self.reply(404, _encode({"error": {"message": "no such path", "type": "invalid_request_error"}}))

    def _complete(self, body: bytes) -> None:
        self._upstream.asked += 1
        try:
            asked = msgspec.json.decode(body, type=_Body)
            parameters = msgspec.json.decode(body)
            request = Request(tuple(asked.messages), parameters, asked.stream)
            script = script_of(request, asked.model)
        except (msgspec.DecodeError, ValueError) as error:
            self.reply(400, _encode({"error": {"message": str(error), "type": "invalid_request_error"}}))
            return
        self._answer = _Answer(self, request, asked, script)
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


@final
class _Answer:
    """One answer by script, piece by piece."""

    def __init__(self, connection: _Connection, request: Request, asked: _Body, script: Script) -> None:
        self._connection = connection
        self._request = request
        self._asked = asked
        self._script = script
        self._said = pieces_of(script)
        self._next = 0
        self._timer: asyncio.Handle | None = None
        self._begun = False
        self.over = False

    def begin(self) -> None:
        """Wait as the script says, then speak."""
        self._after(self._script.delay_ms, self._speak)

    def stop(self) -> None:
        """Fall silent: the client has gone."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()

    def _after(self, milliseconds: float, call: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(milliseconds / 1000, call)

    def _speak(self) -> None:
        planned = self._script.fault
        if planned is not None and self._next >= planned.after:
            self._fail(planned)
            return
        if not self._asked.stream:
            self._whole(planned)
            return
        self._head()
        if self._next >= len(self._said):
            self._finish()
            return
        self._say(self._chunk_of(self._said[self._next]))
        self._next += 1
        self._after(self._script.pace_ms, self._speak)

    def _head(self) -> None:
        if not self._begun:
            self._begun = True
            self._connection.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            self._say(self._wrapped({"role": "assistant", "content": ""}))

    def _say(self, data: bytes) -> None:
        if self._script.tear and len(data) > 2:
            cut = next((at for at in range(1, len(data)) if data[at] & 0xC0 == 0x80), len(data) // 2)
            self._connection.chunk(data[:cut])
            self._connection.chunk(data[cut:])
        else:
            self._connection.chunk(data)

    def _finish(self) -> None:
        for finish in finish_of(self._script, self._asked.n):
            self._say(self._wrapped({}, finish.reason, finish.choice))
        used = usage_of(self._script, self._request, self._said)
        if used is not None and (self._asked.stream_options or {}).get("include_usage"):
            self._say(_sse({**self._frame(), "choices": [], "usage": _usage(used)}))
        self._say(b"data: [DONE]\n\n")
        self._connection.write(b"0\r\n\r\n")
        self.over = True
        self._connection.done()

    def _whole(self, planned: Fault | None) -> None:
        if planned is not None and planned.after <= len(self._said):
            self._fail(planned)
            return
        message: dict[str, Any] = {"role": "assistant", "content": "".join(_texts(self._said, Text)) or None}
        if thought := "".join(_texts(self._said, Reasoning)):
            message["reasoning_content"] = thought
        if refused := "".join(_texts(self._said, Refusal)):
            message["refusal"] = refused
        if self._script.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id or f"call_{index}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for index, call in enumerate(self._script.tool_calls)
            ]
        choices = [
            {"index": finish.choice, "message": message, "finish_reason": finish.reason}
            for finish in finish_of(self._script, self._asked.n)
        ]
        answer = {**self._frame("chat.completion"), "choices": choices}
        if (used := usage_of(self._script, self._request, self._said)) is not None:
            answer["usage"] = _usage(used)
        self.over = True
        self._connection.reply(200, _encode(answer))
        self._connection.done()

    def _fail(self, planned: Fault) -> None:
        """Fail as the script says; what comes before it has gone out."""
        connection = self._connection
        if planned.kind == "status" and not self._begun:
            extra = b"retry-after: %g\r\n" % planned.retry_after if planned.retry_after is not None else b""
            error = {"message": planned.message, "type": "scripted", "code": planned.code}
            self.over = True
            connection.reply(planned.status, _encode({"error": error}), extra)
        elif planned.kind == "html" and not self._begun:
            self.over = True
            connection.reply(502, b"<html><body>Bad Gateway</body></html>", content_type=b"text/html")
        elif planned.kind in {"status", "html", "error_event"}:
            self._head()
            self._say(_sse({"error": {"message": planned.message, "code": planned.code or "server_error"}}))
            connection.write(b"0\r\n\r\n")
            self.over = True
        elif planned.kind == "reset":
            self.over = True
            connection.reset()
        elif planned.kind != "stall":
            self._head()
            self._break(planned)

    def _break(self, planned: Fault) -> None:
        connection = self._connection
        self.over = True
        if planned.kind == "half_frame":
            connection.chunk(self._wrapped({"content": "never whole"})[:-20])
            connection.write(b"0\r\n\r\n")
        elif planned.kind == "garbage":
            connection.chunk(b"data: {this is no json\n\n")
            connection.write(b"0\r\n\r\n")
        elif planned.kind == "huge_frame":
            connection.chunk(b"data: " + b"x" * _HUGE)
        elif planned.kind == "no_terminal":
            connection.write(b"0\r\n\r\n")
        else:
            connection.break_off()

    def _chunk_of(self, piece: Piece) -> bytes:
        match piece:
            case Text():
                return self._wrapped({"content": piece.text})
            case Reasoning():
                return self._wrapped({"reasoning_content": piece.text})
            case Refusal():
                return self._wrapped({"refusal": piece.text})
            case Image():
                return self._wrapped({"images": [{"type": "image_url", "image_url": {"url": piece.url}}]})
            case ToolCallDelta():
                function: dict[str, Any] = {"arguments": piece.arguments}
                call: dict[str, Any] = {"index": piece.index, "function": function}
                if piece.id:
                    call |= {"id": piece.id, "type": "function"}
                    function["name"] = piece.name
                return self._wrapped({"tool_calls": [call]})

    def _wrapped(self, delta: dict[str, Any], finish: str | None = None, choice: int | None = None) -> bytes:
        indexes = range(self._asked.n) if choice is None else (choice,)
        choices = [{"index": index, "delta": delta, "finish_reason": finish} for index in indexes]
        return _sse({**self._frame(), "choices": choices})

    def _frame(self, kind: str = "chat.completion.chunk") -> dict[str, Any]:
        return {"id": "chatcmpl-scripted", "object": kind, "created": 0, "model": self._asked.model}


def _texts(said: list[Piece], kind: type[Text] | type[Reasoning] | type[Refusal]) -> list[str]:
    return [piece.text for piece in said if isinstance(piece, kind)]


def _usage(used: UsageSeen) -> dict[str, Any]:
    usage = used.usage
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _sse(value: dict[str, Any]) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
