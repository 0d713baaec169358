"""A real server on a loopback port, on its own thread and loop as in production, and raw sockets to talk to it."""

import asyncio
import contextlib
import select
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import msgspec

from tertulia.asgi.door import Door
from tertulia.asgi.exchange import Answer, Exchange
from tertulia.asgi.route import Route
from tertulia.asgi.server import Server, run, serve
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.identity.principal import Principal, Unauthenticated

ADA = Principal(b"a" * 16, "ada", "user", frozenset({"chat", "read"}))
GRACE = Principal(b"g" * 16, "grace", "admin", frozenset({"chat", "read", "admin"}))
KEYS = {"ada-key": ADA, "ada-other-key": ADA, "grace-key": GRACE}


class Authenticator:
    """Knows `KEYS`; those that begin with `ada-other` only after a look-up."""

    def cached(self, credential: str) -> Principal | None:
        return None if credential.startswith("ada-other") else KEYS.get(credential)

    async def authenticate(self, credential: str) -> Principal:
        await asyncio.sleep(0)
        if credential == "old-key":
            raise Unauthenticated("expired_credential")
        if credential not in KEYS:
            raise Unauthenticated("invalid_credential")
        return KEYS[credential]


class Recorder:
    """What the door logs and observes."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []
        self.seconds: list[float] = []
        self.errors: list[dict[str, Any]] = []

    def observe(self, exchange: Exchange, route: Route | None, status: int, seconds: float) -> None:
        self.seen.append((exchange.method, exchange.path, status))
        self.seconds.append(seconds)

    def error(self, event: str, **fields: Any) -> None:
        self.errors.append({"event": event, **fields})


def route(
    path: str, handler: Callable[[Exchange], Awaitable[Answer | None]], method: Any = "GET", **more: Any
) -> Route:
    fields: dict[str, Any] = {"access": "open", "meter": "none"} | more
    return Route(method=method, path=path, handler=handler, **fields)


def make_door(*routes: Route, recorder: Recorder | None = None, **more: Any) -> Door:
    recorder = recorder or Recorder()
    fields: dict[str, Any] = {
        "authenticator": Authenticator(),
        "server": ServerSettings(),
        "requests": RequestSettings(),
        "observe": recorder.observe,
        "log": recorder,
    }
    return Door(routes, **(fields | more))


class Live:
    """A server that runs; `ask` sends raw bytes and gives the answers."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.port = 0
        self.server: Server
        self.loop: asyncio.AbstractEventLoop

    def connect(self, receive_buffer: int = 0) -> socket.socket:
        made = socket.socket()
        if receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.settimeout(10)
        made.connect(("127.0.0.1", self.port))
        return made

    def ask(self, request: bytes, answers: int = 1) -> list["Reply"]:
        """Send on a connection of its own, and read so many answers."""
        with self.connect() as connection:
            connection.sendall(request)
            reader = connection.makefile("rb")
            method = request.split(b" ", 1)[0]
            return [read_reply(reader, head=method == b"HEAD") for _ in range(answers)]

    def get(self, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> "Reply":
        return self.ask(request(path, *headers, method=method, body=body))[0]

    def call(self, act: Callable[[], Any]) -> None:
        """Do something on the server's loop."""
        self.loop.call_soon_threadsafe(act)


class Reply(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True
    lines: list[tuple[str, str]] = []

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        return self.json["error"]["code"]


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *headers]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.append("Host: localhost")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def read_reply(reader: Any, *, head: bool = False) -> Reply:
    """Read one answer strictly as RFC 9112 frames it; `whole` is False where it was cut."""
    status_line = reader.readline()
    if not status_line:
        raise EOFError("the server closed the connection")
    version, status, _ = status_line.split(b" ", 2)
    assert version == b"HTTP/1.1"
    lines: list[tuple[str, str]] = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        lines.append((name.lower(), value.strip()))
    headers = dict(lines)
    reply = Reply(int(status), headers, b"", lines=lines)
    if int(status) == 100:
        return reply
    if head or int(status) in {204, 304}:
        return reply
    if headers.get("transfer-encoding") == "chunked":
        reply.body, reply.whole = read_chunks(reader)
    elif "content-length" in headers:
        reply.body = reader.read(int(headers["content-length"]))
        reply.whole = len(reply.body) == int(headers["content-length"])
    else:
        reply.body = reader.read()
    return reply


def read_chunk(reader: Any) -> bytes | None:
    line = reader.readline()
    if not line.endswith(b"\r\n"):
        return None
    size = int(line, 16)
    data = reader.read(size)
    end = reader.read(2)
    assert end in (b"\r\n", b""), "a chunk is longer than it says"
    return data if end else None


def read_chunks(reader: Any) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    while (piece := read_chunk(reader)) is not None:
        if not piece:
            return b"".join(pieces), True
        pieces.append(piece)
    return b"".join(pieces), False


def readable(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


def until(true: Callable[[], Any], seconds: float = 5) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


@contextlib.contextmanager
def served(
    *routes: Route,
    server: ServerSettings | None = None,
    requests: RequestSettings | None = None,
    app: Callable[[Recorder], Any] | None = None,
    **more: Any,
) -> Generator[Live]:
    live = Live(Recorder())
    server = server or ServerSettings(port=0, graceful_s=2)
    requests = requests or RequestSettings()
    door = make_door(*routes, recorder=live.recorder, server=server, requests=requests, **more)
    started = threading.Event()
    failures: list[BaseException] = []

    async def main() -> None:
        live.loop = asyncio.get_running_loop()

        def on_started(address: str) -> None:
            live.port = int(address.rpartition(":")[2])
            started.set()

        def on_server(made: Server) -> None:
            live.server = made

        application = door if app is None else app(live.recorder)
        await serve(application, server, requests, on_started=on_started, on_server=on_server)

    def work() -> None:
        try:
            run(main())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            failures.append(error)
            started.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        assert started.wait(10)
        if not failures:
            yield live
    finally:
        if not failures and thread.is_alive():
            live.call(live.server.stop)
        thread.join(15)
        assert not thread.is_alive(), "the server does not stop"
        if failures:
            raise failures[0]


class Stage:
    """A streamed answer that the test writes: `handler` opens it, and everything that is told is kept."""

    def __init__(self) -> None:
        self.push: Any = None
        self.gone: list[float] = []
        self.rooms = 0

    async def handler(self, exchange: Exchange) -> None:
        push = exchange.stream()
        push.on_gone(lambda: self.gone.append(time.monotonic()))
        push.on_room(self._room)
        self.push = push

    def _room(self) -> None:
        self.rooms += 1

    def open(self, live: Live, connection: socket.socket, path: str = "/s", *headers: str) -> Any:
        """Ask for it, wait until it is open, and give a reader that stands behind the head."""
        self.push = None
        connection.sendall(request(path, *headers))
        reader = connection.makefile("rb")
        until(lambda: self.push is not None)
        assert reader.readline().startswith(b"HTTP/1.1 200")
        while reader.readline() != b"\r\n":
            pass
        return reader
