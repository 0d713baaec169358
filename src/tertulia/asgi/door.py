"""The door: from an ASGI call to a handler and back, the same way for every route."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, Protocol
from urllib.parse import quote
from uuid import uuid4

from tertulia.asgi.credentials import Credentials, Sessions, require_access
from tertulia.asgi.exchange import Answer, Exchange
from tertulia.asgi.forwarded import Proxies
from tertulia.asgi.match import Found, Table
from tertulia.asgi.origins import Cors, Hosts
from tertulia.asgi.problem import Internal, answer_to, form_of_path, status_of
from tertulia.asgi.request_id import request_id
from tertulia.asgi.route import Form, Handler, Route
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.asgi.stream import AsgiWire
from tertulia.asgi.wire import CLIENT_GONE, ClientLeft, Wire
from tertulia.identity.principal import Authenticator, Unauthenticated
from tertulia.kernel.errors import Forbidden, Kind, NotFound, TertuliaError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]
Life = Callable[[], contextlib.AbstractAsyncContextManager[None]]

API: Final = ("/api", "/v1", "/inference", "/health", "/metrics", "/docs", "/openapi.json", "/ws", "/.well-known")
"""The paths that are never the page's (HTTP contract, Conventions)."""

_CUT: Final = 503


class Log(Protocol):
    """The part of a structlog logger that the door uses."""

    def error(self, event: str, **fields: Any) -> Any:
        """Write a line."""
        ...


class Observe(Protocol):
    """Called once for every exchange: when its answer is whole, when its client is gone (499), or when it was cut."""

    def __call__(self, exchange: Exchange, route: Route | None, status: int, seconds: float) -> None:
        """Count it, log it; `route` is None where no route is for it."""
        ...


class MethodNotAllowed(TertuliaError):
    """The path is known, and the method is none of its own."""

    kind = Kind.METHOD
    code = "method_not_allowed"

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        super().__init__(f"{method} is not possible here; possible: {', '.join(allowed)}.")


class Door:
    """An ASGI application over a table of routes.

    `fallback` answers a GET of any path outside `API` (the page's), `websocket` takes WebSocket calls, `life` is
    entered before the first request and left after the last; `sessions` answers for the page's cookie.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        authenticator: Authenticator,
        server: ServerSettings,
        requests: RequestSettings,
        observe: Observe,
        log: Log,
        sessions: Sessions | None = None,
        fallback: Handler | None = None,
        websocket: Asgi | None = None,
        life: Life | None = None,
    ) -> None:
        self.routes = tuple(routes)
        self._table = Table(self.routes)
        self._credentials = Credentials(authenticator, sessions)
        self._requests = requests
        self._observe = observe
        self._log = log
        self._fallback = fallback
        self._websocket = websocket
        self._life = life
        self._hosts = Hosts(server)
        self._cors = Cors(server.cors_origins)
        self._proxies = Proxies(server.trusted_proxies)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one ASGI call."""
        if scope["type"] == "http":
            push: Wire | None = scope.get("extensions", {}).get("push")
            if push is not None:
                await self._exchange(scope, push)
                return
            async with AsgiWire(scope, receive, send) as wire:
                await self._exchange(scope, wire)
        elif scope["type"] == "lifespan":
            await _lifespan(self.live, receive, send)
        else:
            await self._socket(scope, receive, send)

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncGenerator[None]:
        """Enter the life that was handed in."""
        if self._life is None:
            yield
            return
        async with self._life():
            yield

    async def _socket(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            self._hosts.require([value for name, value in scope["headers"] if name == b"host"], "1.1")
        except TertuliaError:
            await send({"type": "websocket.close", "code": 1008})
            return
        if self._websocket is None:
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._websocket(scope, receive, send)

    async def _exchange(self, scope: Message, wire: Wire) -> None:
        began = time.perf_counter()
        exchange = Exchange(scope, wire, self._requests, self._proxies)
        found = self._table.find(exchange.method, _raw_path(scope))
        status = CLIENT_GONE
        try:
            await self._answer(exchange, found)
            status = wire.status if wire.finished else CLIENT_GONE
        except ClientLeft:
            wire.abort()
        except asyncio.CancelledError:
            status = _CUT
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises becomes an answer, and an incident
            status = await self._refuse(exchange, _form(found, exchange), error)
        finally:
            self._seen(exchange, found.route, status, time.perf_counter() - began)

    async def _answer(self, exchange: Exchange, found: Found) -> None:
        exchange.request_id = given = request_id(exchange.header(b"x-request-id"))
        exchange.add_header(b"x-request-id", given.encode())
        for name, value in self._cors.headers(exchange):
            exchange.add_header(name, value)
        self._hosts.require(exchange.header_values(b"host"), exchange.scope["http_version"])
        route = found.route
        if route is None:
            await self._elsewhere(exchange, found)
            return
        exchange.params = found.params
        if route.max_body_bytes:
            exchange.max_body_bytes = route.max_body_bytes
        principal = self._credentials.known(exchange)
        if route.access == "open":
            principal = principal or await self._recognised(exchange)
        else:
            principal = principal or await self._credentials.principal(exchange)
            require_access(principal, route)
        if principal is not None:
            exchange.identify(principal)
        await _handle(exchange, route.handler)

    async def _elsewhere(self, exchange: Exchange, found: Found) -> None:
        """Answer what no route is for: a preflight, another method, the page, nothing."""
        allowed = found.methods()
        if allowed and exchange.method == "OPTIONS":
            preflight = self._cors.preflight(exchange, allowed)
            if preflight is not None:
                await _reply(exchange, Answer(204, content_type=b"", headers=tuple(preflight)))
                return
        api = is_api(exchange.path)
        if not allowed and not api and self._fallback is not None and exchange.method in {"GET", "HEAD"}:
            await _handle(exchange, self._fallback)
            return
        if api and not any(route.access == "open" for route in found.allowed):
            exchange.identify(await self._credentials.principal(exchange))
        if allowed:
            exchange.add_header(b"allow", ", ".join(allowed).encode())
            raise MethodNotAllowed(exchange.method, allowed)
        raise NotFound(f"There is nothing at {exchange.path[:200]!r}. `/docs` lists what there is.")

    async def _recognised(self, exchange: Exchange) -> Any:
        """Give who calls an open route, where that can be known; a bad credential is none there."""
        try:
            return await self._credentials.optional(exchange)
        except (Unauthenticated, Forbidden):
            return None

    async def _refuse(self, exchange: Exchange, form: Form, error: Exception) -> int:
        """Answer an error; cut an answer that had begun, so that nobody takes it for a whole one."""
        if not isinstance(error, TertuliaError) or exchange.wire.status:
            error = self._incident(exchange, error)
        if exchange.wire.status:
            exchange.wire.abort()
            return 500
        await _reply(exchange, answer_to(error, form, exchange.request_id))
        return status_of(error, form) if exchange.wire.finished else CLIENT_GONE

    def _incident(self, exchange: Exchange, error: Exception) -> Internal:
        incident = str(uuid4())
        self._log.error(
            "incident",
            incident=incident,
            request_id=exchange.request_id,
            method=exchange.method,
            path=exchange.path,
            exc_info=error,
        )
        return Internal(incident)

    def _seen(self, exchange: Exchange, route: Route | None, status: int, seconds: float) -> None:
        try:
            self._observe(exchange, route, status, seconds)
        except Exception as error:  # noqa: BLE001 - a metric that fails must not break the connection
            self._incident(exchange, error)


def is_api(path: str) -> bool:
    """Tell whether a path is the API's, and so never the page's."""
    return any(path == base or path.startswith(base + "/") for base in API)


def _raw_path(scope: Message) -> str:
    raw: bytes | None = scope.get("raw_path")
    return raw.decode("latin-1") if raw is not None else quote(scope["path"])


async def _handle(exchange: Exchange, handler: Handler) -> None:
    answer = await handler(exchange)
    if answer is not None:
        await _reply(exchange, answer)
    elif exchange.wire.status:
        await exchange.wire.ended()
    else:
        raise RuntimeError("a handler gave no answer and opened no stream")


async def _reply(exchange: Exchange, answer: Answer) -> None:
    await exchange.wire.reply(answer.status, exchange.head(answer.content_type, answer.headers), answer.body)


def _form(found: Found, exchange: Exchange) -> Form:
    known = found.route or (found.allowed[0] if found.allowed else None)
    return known.form if known is not None else form_of_path(exchange.path)


async def _lifespan(live: Life, receive: Receive, send: Send) -> None:
    """Enter and leave the life as ASGI's lifespan messages say; for servers other than ours."""
    await receive()
    try:
        async with live():
            await send({"type": "lifespan.startup.complete"})
            await receive()
    except TertuliaError as error:
        await send({"type": "lifespan.startup.failed", "message": error.message})
        return
    await send({"type": "lifespan.shutdown.complete"})
