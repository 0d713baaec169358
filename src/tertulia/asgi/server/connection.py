"""One connection of our server: uvicorn's protocol, with what a public server and streams of tokens need.

Added to uvicorn's: bounds on the head, on what is read and thrown away, and on time; a client that leaves is noticed
also while nothing is written to it; answers go to the transport with no task or queue between; a request that cannot
be parsed is refused in its turn, after the answers before it; an `Upgrade` that is not spoken here is ignored, as
RFC 9110 (7.8) has it, without losing the request's body.
"""

import asyncio
from collections import deque
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tertulia.asgi.intake import WINDOW
from tertulia.asgi.problem import answer_to, form_of_path
from tertulia.asgi.request_id import request_id
from tertulia.asgi.server.cycle import Application, Cycle
from tertulia.asgi.server.plain import PlainAsgi
from tertulia.asgi.settings import KIB, MIB, RequestSettings
from tertulia.asgi.wire import Header, HeadersTooLarge, MalformedRequest, RequestTimeout, UriTooLong
from tertulia.kernel.errors import TertuliaError

KEEP_ALIVE_S: Final = 75.0
"""Longer than the 60 s after which usual load balancers let an idle connection go: they close it, not we."""
LINGER_S: Final = 60.0
"""How long a client may go without swallowing anything of its answer, or go on sending, before it is cut off."""
DISCARD_BYTES: Final = 64 * MIB
"""How much of a body that nobody wants is read, so that the client gets to reading the answer."""
_SEGMENT: Final = 256 * KIB
_NEVER: Final = float("inf")
_HOP: Final = frozenset({b"upgrade", b"http2-settings"})


class Connection(HttpToolsProtocol):
    """One client. Requests are answered one after the other; those that came early wait, unparsed where possible."""

    _rendered: ClassVar[tuple[list[Header], bytes]] = ([], b"")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        settings: RequestSettings | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.url = b""
        self._app = cast("Application", config.loaded_app)  # pyright: ignore[reportUnknownMemberType]
        self.deadline = _NEVER
        """When what is awaited from the client is overdue, by the loop's clock."""
        self.half_closed = False
        self._settings = settings or RequestSettings()
        self._current: Cycle | None = None
        self._incoming: Cycle | None = None
        self._queue: deque[Cycle] = deque()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._refusal: TertuliaError | None = None
        self._closing = False
        self._in_head = False
        self._replays = False
        self._received = 0
        self._segment = 0
        self._discarded = 0
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Begin (asyncio's callback)."""
        super().connection_made(transport)
        self.deadline = self.loop.time() + self._settings.body_timeout_s

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who answer here that the client has left (asyncio's callback)."""
        self.connections.discard(self)
        self.deadline = _NEVER
        for cycle in (self._current, *self._queue):
            if cycle is not None:
                cycle.leave()
        self._queue.clear()
        self._held.clear()
        del self.parser  # it refers back to us

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Note that the client has closed its side; True keeps ours open while answers are due."""
        if self.scheme == "https" or self._closing or self._current is None:
            return False
        self.half_closed = True
        for cycle in (self._current, *self._queue):
            cycle.closes_its_side()
        return not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Take bytes (asyncio's callback): parse, hold, or throw away."""
        if self._closing or self._refusal is not None:
            self._discard(len(data))
        elif self._current is not None and self._incoming is None:
            self._hold(data)
        else:
            self._feed(data)

    def resume_writing(self) -> None:
        """Tell that the write buffer has emptied (asyncio's callback)."""
        super().resume_writing()
        if self._current is not None:
            self._current.room()

    def shutdown(self) -> None:
        """Finish the answer that is being given, then close; uvicorn's server calls it when it stops."""
        if self._current is None:
            self._end()
        else:
            self._current.keep_alive = False

    def expire(self) -> None:
        """Do what the passing of `deadline` asks for."""
        if self._closing:
            self._linger()
        elif self._in_head:
            self._refuse(RequestTimeout("head", self._settings.body_timeout_s))
        else:
            self._end()

    def fixed_headers(self) -> bytes:
        """Give `Date` and `Server`, which uvicorn's server makes anew each second."""
        headers = self.server_state.default_headers
        if Connection._rendered[0] is not headers:
            lines = b"".join(b"%b: %b\r\n" % (name, value) for name, value in headers)
            Connection._rendered = (headers, lines)
        return Connection._rendered[1]

    def writable(self) -> bool:
        """Tell whether the write buffer is below its high-water mark."""
        return not self.flow.write_paused

    def read_on(self) -> None:
        """Take up reading."""
        if not self.half_closed:
            self.flow.resume_reading()

    def answered(self, cycle: Cycle) -> None:
        """Go on to the next request, or close."""
        self.server_state.total_requests += 1
        self._current = None
        if self.transport.is_closing():
            return
        if not cycle.keep_alive:
            self._end()
        elif self._queue:
            self._begin(self._queue.popleft())
        elif self._refusal is not None:
            self._answer_refusal(self._refusal)
        else:
            self.flow.resume_reading()
            self.deadline = self.loop.time() + self._patience()
            if self._held:
                data = b"".join(self._held)
                self._held.clear()
                self._held_bytes = 0
                self._feed(data)

    def on_message_begin(self) -> None:
        """Begin a request (httptools' callback, as those that follow)."""
        super().on_message_begin()
        self._in_head = True
        self._received = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        self.url += url
        if len(self.url) > self._settings.max_url_bytes:
            raise UriTooLong(self._settings.max_url_bytes)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if self._in_head:  # else it is a trailer, which nobody is to take for a header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the answer, or let it wait for its turn."""
        limit = self._settings.max_header_bytes
        if self._received + self._segment > limit and _size(self.headers) > limit:
            raise HeadersTooLarge(limit)
        self._in_head = False
        method = self.parser.get_method().decode("ascii")
        version = self.parser.get_http_version()
        if version not in {"1.1", "1.0"} or method == "CONNECT":
            raise MalformedRequest(f"{method} of HTTP/{version} is not spoken here")
        self.scope["method"] = method
        if self.parser.should_upgrade():
            self._replays = not self._should_upgrade()
            return
        self.scope["http_version"] = version
        self._set_target()
        keep_alive = version == "1.1" and self.parser.should_keep_alive()
        cycle = Cycle(self, self.scope, keep_alive=keep_alive, expects_100=self.expect_100_continue)  # pyright: ignore[reportArgumentType]
        self.scope["extensions"] = {"push": cycle}  # pyright: ignore[reportGeneralTypeIssues]
        self._incoming = cycle
        if self._current is None:
            self._begin(cycle)
        else:
            self._queue.append(cycle)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        cycle = self._incoming
        if cycle is None:
            return
        cycle.intake.feed(body)
        if cycle.finished:
            self._discard(len(body))
        elif cycle.intake.crowded():
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """End the request."""
        if self._incoming is not None:
            self._incoming.intake.end()
            self._incoming = None
            self._discarded = 0

    def _feed(self, data: bytes) -> None:
        self._segment = len(data)
        before = self._incoming.intake.size if self._incoming is not None else 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, TertuliaError) else MalformedRequest("it cannot be parsed"))
        else:
            self._bound(before)

    def _bound(self, before: int) -> None:
        """Bound what the parser keeps to itself: a head, a chunk's extensions, trailers."""
        incoming = self._incoming
        if not self._in_head and (incoming is None or incoming.intake.size != before):
            self._received = 0
            return
        if self._in_head and not self._received and self._current is None:
            self.deadline = self.loop.time() + self._settings.body_timeout_s
        self._received += self._segment
        if self._received > self._settings.max_header_bytes + self._settings.max_url_bytes + _SEGMENT:
            self._refuse(HeadersTooLarge(self._settings.max_header_bytes))

    def _set_target(self) -> None:
        raw, _, query = self.url.partition(b"#")[0].partition(b"?")
        if raw[:1] != b"/" and raw != b"*":
            raw = self._absolute(raw)
        path = raw.decode("latin-1")
        self.scope["raw_path"] = raw
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["query_string"] = query

    def _absolute(self, target: bytes) -> bytes:
        """Take the absolute form apart (RFC 9112, 3.2.2): its authority is the host, whatever `Host` says."""
        url = httptools.parse_url(target)
        if not url.host:
            raise MalformedRequest("its target is neither a path nor a URL")
        port = b":%d" % url.port if url.port else b""
        self.headers[:] = [(b"host", url.host + port), *(each for each in self.headers if each[0] != b"host")]
        return url.path or b"/"

    def _begin(self, cycle: Cycle) -> None:
        self._current = cycle
        self.deadline = _NEVER
        plain = PlainAsgi(cycle)
        task = self.loop.create_task(cycle.run(self._app, plain.receive, plain.send))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _patience(self) -> float:
        """Give how long the client may take for what is to come next: the rest of a head, of a body, a request."""
        if self._in_head:
            return self._settings.body_timeout_s
        return KEEP_ALIVE_S if self._incoming is None else LINGER_S

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > WINDOW:
            self.flow.pause_reading()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > DISCARD_BYTES:
            self.transport.abort()

    def _refuse(self, error: TertuliaError) -> None:
        """Answer an error of the protocol when its turn comes; nothing more is read from this connection."""
        self._refusal = error
        self._in_head = False
        if self._incoming is not None:  # its body is what is broken: whoever reads it is told
            self._incoming.keep_alive = False
            self._incoming.intake.fail(error)
        elif self._current is None:
            self._answer_refusal(error)

    def _answer_refusal(self, error: TertuliaError) -> None:
        form = form_of_path(self.url.decode("latin-1"))
        answer = answer_to(error, form, given := request_id(None))
        scope = self.scope | {"method": "GET"}  # HEAD has its answer without a body, but this may be no HEAD at all
        cycle = Cycle(self, scope, keep_alive=False, expects_100=False)  # pyright: ignore[reportArgumentType]
        headers = [(b"content-type", answer.content_type), (b"x-request-id", given.encode()), *answer.headers]
        cycle.send(answer.status, headers, answer.body)

    def _end(self) -> None:
        """Close, gracefully: what is still coming is read for a while, else the client might never see its answer."""
        reads = self._incoming is not None or self._refusal is not None
        self._closing = True
        self._unsent = self.transport.get_write_buffer_size() + 1
        self.deadline = self.loop.time() + LINGER_S
        if reads and not self.half_closed and self.transport.can_write_eof():
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Give a client time that swallows its answer slowly, and no longer one that does not at all."""
        unsent = self.transport.get_write_buffer_size()
        if 0 < unsent < self._unsent:
            self.deadline = self.loop.time() + LINGER_S
            self._unsent = unsent
        else:
            self.transport.abort()

    def _upgrade(self, rest: bytes) -> None:
        if not self._replays:
            self.handle_websocket_upgrade()
            return
        self._replays = False
        self.parser = httptools.HttpRequestParser(self)
        self._feed(_head_without_upgrade(self.scope["method"].encode(), self.url, self.headers) + rest)


def _size(headers: list[Header]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _head_without_upgrade(method: bytes, url: bytes, headers: list[Header]) -> bytes:
    """Write a request's head again, without the wish for another protocol."""
    lines = [b"%b %b HTTP/1.1\r\n" % (method, url)]
    for name, value in headers:
        if name == b"connection":
            tokens = (token.strip() for token in value.split(b","))
            value = b", ".join(token for token in tokens if token.lower() not in _HOP)  # noqa: PLW2901
        if name not in _HOP:
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines) + b"\r\n"
