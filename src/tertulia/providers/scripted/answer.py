"""One answer of the fake upstream: by script, piece by piece, with its faults."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, final

from tertulia.providers.scripted.script import Fault, Script, finish_of, pieces_of, usage_of
from tertulia.providers.scripted.writing import Writing, error_body, sse
from tertulia.turn.request import Request

_HUGE: Final = 64 * 1024 * 1024
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END: Final = b"0\r\n\r\n"


class Socket(Protocol):
    """What an answer does to its connection."""

    def reply(self, status: int, body: bytes, headers: bytes = b"", content_type: bytes = ...) -> None:
        """Send a whole answer."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        ...

    def chunk(self, data: bytes) -> None:
        """Send bytes as one chunk of the body."""
        ...

    def done(self) -> None:
        """Count an answer that was sent to its end."""
        ...

    def break_off(self) -> None:
        """Close the connection, what was written going out first."""
        ...

    def reset(self) -> None:
        """Let the client see a reset, not an end."""
        ...


@final
class Answer:
    """One answer. `over` tells that nothing of it will follow."""

    def __init__(self, socket: Socket, request: Request, model: str, script: Script) -> None:
        self._socket = socket
        self._request = request
        self._script = script
        self._writing = Writing(model, request.choices)
        self._said = pieces_of(script, request)
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
        if not self._request.stream:
            self._whole(planned)
            return
        self._head()
        if self._next >= len(self._said):
            self._finish()
            return
        self._say(self._writing.piece(self._said[self._next]))
        self._next += 1
        self._after(self._script.pace_ms, self._speak)

    def _head(self) -> None:
        if not self._begun:
            self._begun = True
            self._socket.write(_HEAD)
            self._say(self._writing.chunk({"role": "assistant", "content": ""}))

    def _say(self, data: bytes) -> None:
        if self._script.tear and len(data) > 2:
            cut = next((at for at in range(1, len(data)) if data[at] & 0xC0 == 0x80), len(data) // 2)
            self._socket.chunk(data[:cut])
            self._socket.chunk(data[cut:])
        else:
            self._socket.chunk(data)

    def _finish(self) -> None:
        for finish in finish_of(self._script, self._request.choices):
            self._say(self._writing.chunk({}, finish))
        used = usage_of(self._script, self._request, self._said)
        options: dict[str, Any] = self._request.parameters.get("stream_options") or {}
        if used is not None and options.get("include_usage"):
            self._say(self._writing.usage(used))
        self._say(b"data: [DONE]\n\n")
        self._socket.write(_END)
        self.over = True
        self._socket.done()

    def _whole(self, planned: Fault | None) -> None:
        if planned is not None and planned.after <= len(self._said):
            self._fail(planned)
            return
        finishes = finish_of(self._script, self._request.choices)
        used = usage_of(self._script, self._request, self._said)
        self.over = True
        self._socket.reply(200, self._writing.whole(self._script, self._said, finishes, used))
        self._socket.done()

    def _fail(self, planned: Fault) -> None:
        """Fail as the script says; what comes before it has gone out."""
        if planned.kind == "stall":
            return
        self.over = True
        if planned.kind == "reset":
            self._socket.reset()
        elif planned.kind == "status" and not self._begun:
            extra = b"retry-after: %g\r\n" % planned.retry_after if planned.retry_after is not None else b""
            self._socket.reply(planned.status, error_body(planned.message, planned.code), extra)
        elif planned.kind == "html" and not self._begun:
            self._socket.reply(502, b"<html><body>Bad Gateway</body></html>", content_type=b"text/html")
        else:
            self._head()
            self._break(planned)

    def _break(self, planned: Fault) -> None:
        socket = self._socket
        if planned.kind in {"status", "html", "error_event"}:
            self._say(sse({"error": {"message": planned.message, "code": planned.code or "server_error"}}))
            socket.write(_END)
        elif planned.kind == "half_frame":
            socket.chunk(self._writing.chunk({"content": "never whole"})[:-20])
            socket.write(_END)
        elif planned.kind == "garbage":
            socket.chunk(b"data: {this is no json\n\n")
            socket.write(_END)
        elif planned.kind == "huge_frame":
            socket.chunk(b"data: " + b"x" * _HUGE)
        elif planned.kind == "no_terminal":
            socket.write(_END)
        else:
            socket.break_off()
