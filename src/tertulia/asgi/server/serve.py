"""Running an application on our server: the port, signals, and a stop that lets answers end."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar, cast

import uvicorn

from tertulia.asgi.server.connection import Connection
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.kernel.errors import Kind, TertuliaError

T = TypeVar("T")
_log = logging.getLogger(__name__)
_CANCEL_S: Final = 2.0
_BACKLOG: Final = 2048
_PRIVILEGED: Final = 1024


class CannotListen(TertuliaError):
    """The address cannot be listened on: taken, not ours, or not allowed."""

    kind = Kind.UNAVAILABLE
    code = "cannot_listen"


class TlsUnusable(TertuliaError):
    """The certificate or its key cannot be used."""

    kind = Kind.INVALID
    code = "tls_unusable"


class Application(Protocol):
    """An ASGI application, whose life is entered here and not by ASGI messages, so that its errors stay typed."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one ASGI call."""
        ...

    def live(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Give what is entered before the first request, and left after the last."""
        ...


def bind(host: str, port: int) -> list[socket.socket]:
    """Take the port, on every address that the host's name has; nobody is answered before `serve` listens.

    Port 0 takes a free one, the same on all addresses. Raises `CannotListen`.
    """
    sockets: list[socket.socket] = []
    try:
        addresses = _addresses(host, port)
        for family, name in addresses:
            same = port or (sockets[0].getsockname()[1] if sockets else 0)
            sockets.append(_bound(family, (name, same), dual=len(addresses) == 1))
    except OSError as error:
        for each in sockets:
            each.close()
        raise _cannot_listen(host, port, error) from None
    return sockets


class Server(uvicorn.Server):
    """uvicorn's server with our connections; `draining` is set when it begins to stop.

    Who owns an open stream watches `draining` and ends it; what is still open after `graceful_s` is cut.
    """

    def __init__(
        self, app: Application, server: ServerSettings, requests: RequestSettings, *, websockets: bool = False
    ) -> None:
        connection = partial(Connection, settings=requests)
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", connection),
            ws="websockets-sansio" if websockets else "none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=[("server", "tertulia")],
            backlog=_BACKLOG,
            ssl_certfile=server.tls_cert or None,
            ssl_keyfile=server.tls_key or None,
        )
        super().__init__(config)
        self.draining = asyncio.Event()
        self._graceful_s = server.graceful_s

    async def on_tick(self, counter: int) -> bool:
        """Look twice a second for clients that keep us waiting; uvicorn calls it ten times a second."""
        if counter % 5 == 0:
            now = asyncio.get_running_loop().time()
            for connection in [each for each in self.server_state.connections if _deadline(each) < now]:
                cast("Connection", connection).expire()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: no new connections, the answers under way until `graceful_s`, then none."""
        self.draining.set()
        for server in self.servers:
            server.close()
        for each in sockets or ():
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._drained(self._graceful_s)
        for task in list(self.server_state.tasks):
            task.cancel()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_CANCEL_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on SIGINT and SIGTERM; a second one stops at once. Unlike uvicorn's, none is raised again after."""
        loop = asyncio.get_running_loop()
        known = (signal.SIGINT, signal.SIGTERM)
        handled: list[signal.Signals] = []
        for number in known:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                loop.add_signal_handler(number, self.stop)
                handled.append(number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Begin to stop; called again, stop waiting."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def _drained(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while self.server_state.connections or self.server_state.tasks:
            if self.force_exit or asyncio.get_running_loop().time() >= until:
                return
            await asyncio.sleep(0.02)


async def serve(
    app: Application,
    server: ServerSettings,
    requests: RequestSettings,
    *,
    websockets: bool = False,
    sockets: Sequence[socket.socket] | None = None,
    on_started: Callable[[str], None] | None = None,
    on_server: Callable[[Server], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `Server.stop`.

    The port is taken first (unless `sockets` of `bind` are handed in), then the application's life begins, then the
    first request is let in and `on_started` called with the base URL. `on_server` is called with the server before
    that, for who wants its `draining` or `stop`.

    Raises `CannotListen`, `TlsUnusable`, and what the application's life raises.
    """
    bound = list(sockets) if sockets is not None else bind(server.host, server.port)
    try:
        running = _loaded(Server(app, server, requests, websockets=websockets), server)
        if on_server is not None:
            on_server(running)
        async with app.live():
            await _run(running, bound, server, on_started)
    finally:
        for each in bound:
            each.close()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as the whole program: on uvloop where it is installed, else on asyncio's own loop."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def address_of(bound: Sequence[socket.socket], server: ServerSettings) -> str:
    """Give the base URL under which the server is reached from here."""
    name: tuple[str, int] = bound[0].getsockname()
    host, port = name[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    scheme = "https" if server.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _run(
    running: Server, bound: list[socket.socket], server: ServerSettings, on_started: Callable[[str], None] | None
) -> None:
    try:
        await running.startup(bound)
    except OSError as error:  # two processes may bind one port, and only one listen
        raise _cannot_listen(server.host, bound[0].getsockname()[1], error) from None
    with running.capture_signals():
        await running.on_tick(0)  # so that the first answer has its date
        if on_started is not None:
            on_started(address_of(bound, server))
        try:
            await running.main_loop()
        finally:
            await running.shutdown(bound)


def _loaded(running: Server, server: ServerSettings) -> Server:
    running.config.log_level = logging.WARNING
    try:
        running.config.load()
    except (OSError, ssl.SSLError) as error:
        where = f"{server.tls_cert!r} with the key {server.tls_key or server.tls_cert!r}"
        raise TlsUnusable(f"The TLS certificate {where} cannot be used: {error}.") from None
    running.lifespan = running.config.lifespan_class(running.config)
    return running


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list({(family, str(address[0])): None for family, _, _, _, address in found})


def _bound(family: socket.AddressFamily, address: tuple[str, int], *, dual: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let others take our port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        made.bind(address)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        return CannotListen(f"Cannot listen on {where}: the host is not known. Set `host` in `[server]`.")
    if isinstance(error, PermissionError):
        return CannotListen(f"Cannot listen on {where}: this needs more rights. Take a port above {_PRIVILEGED}.")
    reason = (error.strerror or str(error)).lower()
    return CannotListen(f"Cannot listen on {where}: {reason}. Choose another with `--port`, or TERTULIA_PORT.")


def _deadline(connection: object) -> float:
    """WebSocket connections, which uvicorn keeps in the same set, have none."""
    return getattr(connection, "deadline", float("inf"))
