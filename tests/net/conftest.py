"""An upstream on the loopback that does exactly what a test says, byte by byte; and those who wait for its answers."""

import asyncio
import select
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tertulia.net.aiohttp import AiohttpTransport
from tertulia.net.transport import Transport, TransportError

DATA = Path(__file__).parent / "data"
Behaviour = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One connection that the upstream accepted."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.requests: list[tuple[bytes, bytes]] = []

    async def request(self) -> tuple[bytes, bytes]:
        """Read one request: its head and its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        body = await self.reader.readexactly(length)
        self.requests.append((head, body))
        return head, body

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def answer(self, body: bytes, *, status: str = "200 OK", **headers: str) -> None:
        """Send a whole answer."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.send(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body)

    def begin_stream(self, kind: str = "text/event-stream") -> None:
        """Send the head of a chunked answer."""
        self.send(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())

    def chunk(self, data: bytes) -> None:
        """Send one chunk; an empty one ends the answer."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def reset(self) -> None:
        """Break the connection with an RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def is_cut(self) -> bool:
        """Tell whether the system has seen the other side close, though nothing was read."""
        if self.writer.is_closing() or self.reader.at_eof() or self.reader.exception() is not None:
            return True
        watch = select.poll()
        watch.register(self.writer.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return bool(watch.poll(0))

    async def gone(self) -> None:
        """Wait until the other side has closed."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            return


class Upstream:
    """A server on a free port of the loopback."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None) -> None:
        self._behave = behave
        self._tls = tls
        self._running: set[asyncio.Task[None]] = set()
        self.connections: list[Connection] = []
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "0.0.0.0", 0, limit=1 << 22, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        self._server.close()
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for connection in self.connections:
            connection.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        connection = Connection(len(self.connections), reader, writer)
        self.connections.append(connection)
        try:
            await self._behave(connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._running.discard(task)
            writer.close()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run what needs a loop on both kinds of it: they close connections differently."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[Callable[..., Awaitable[Upstream]]]:
    """Start upstreams that behave as told."""
    started: list[Upstream] = []

    async def start(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Upstream:
        server = Upstream(behave, tls)
        await server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        await server.stop()


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = AiohttpTransport()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """The upstream's side of TLS: a certificate for `localhost` that only tests trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "localhost.pem", DATA / "localhost.key")
    return context


@pytest.fixture
async def trusting() -> AsyncIterator[Transport]:
    """A transport that trusts the certificate of the tests."""
    made = AiohttpTransport(tls=ssl.create_default_context(cafile=DATA / "localhost.pem"))
    yield made
    await made.close()


class Listener:
    """A receiver that keeps everything, and fails the test when it hears anything after the end."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self._pieces: list[bytes] = []
        self.reads = 0
        self.over: asyncio.Future[TransportError | None] = asyncio.get_running_loop().create_future()
        self.first: asyncio.Event = asyncio.Event()
        self.on_data: Callable[[bytes], Any] | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        assert self.status is None
        self.status, self.headers = status, headers

    def data(self, data: bytes) -> None:
        assert data
        assert not self.over.done()
        self._pieces.append(data)
        self.reads += 1
        self.first.set()
        if self.on_data is not None:
            self.on_data(data)

    def end(self) -> None:
        self.over.set_result(None)

    def failed(self, error: TransportError) -> None:
        self.over.set_result(error)


@pytest.fixture
async def listener() -> Listener:
    return Listener()


@pytest.fixture
def listeners() -> Callable[[], Listener]:
    return Listener
