"""Health, version, metrics, and the description of the API."""

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tertulia import __version__
from tertulia.asgi.exchange import Answer, Exchange, json_answer
from tertulia.asgi.route import Route
from tertulia.asgi.wire import Header
from tertulia.identity.principal import Unauthenticated
from tertulia.kernel.clock import now_us, rfc3339
from tertulia.kernel.errors import NotFound
from tertulia.observability.metrics import MetricsSettings, exposition

API_VERSION = "1"
State = Literal["ok", "degraded", "down"]
_STREAMED = b"text/plain; version=0.0.4; charset=utf-8"


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at."""

    status: State
    message: str = ""


Checks = Callable[[], Awaitable[Mapping[str, Check]]]
Draining = Callable[[], bool]


class Health(msgspec.Struct, frozen=True):
    """The answer of `/api/health`; `down` means that it cannot serve."""

    status: State
    version: str
    timestamp: str
    checks: Mapping[str, Check]


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of `/api/version`."""

    version: str
    api: str
    commit: str | None = None


def routes(
    *, checks: Checks, draining: Draining, metrics: MetricsSettings, openapi: Callable[[], bytes],
    docs: Callable[[], Answer], commit: str | None,
) -> tuple[Route, ...]:  # fmt: skip
    """Make the routes of this face."""

    async def health(_: Exchange) -> Answer:
        found = await checks()
        status = _worst(found)
        answer = Health(status, __version__, rfc3339(now_us()), found)
        return json_answer(answer, 503 if status == "down" else 200)

    async def live(_: Exchange) -> Answer:
        return json_answer({"status": "ok"})

    async def ready(_: Exchange) -> Answer:
        if draining():
            return json_answer({"status": "down", "checks": {"server": Check("down", "draining")}}, 503)
        found = {name: check for name, check in (await checks()).items() if name in {"storage", "coordination"}}
        status = _worst(found)
        return json_answer({"status": status, "checks": found}, 503 if status == "down" else 200)

    async def version(exchange: Exchange) -> Answer:
        return json_answer(Version(__version__, API_VERSION, commit if exchange.caller else None))

    async def figures(exchange: Exchange) -> Answer:
        if not metrics.enabled:
            raise NotFound("Metrics are switched off (`[metrics] enabled`).")
        if not (_has_token(exchange, metrics) or _is_neighbour(exchange)):
            raise Unauthenticated("missing_credential")
        return Answer(200, exposition(), _STREAMED)

    async def description(_: Exchange) -> Answer:
        return Answer(200, openapi())

    async def documentation(_: Exchange) -> Answer:
        return docs()

    def get(path: str, handler: Any, summary: str, **more: Any) -> Route:
        fields: dict[str, Any] = {"access": "open", "tags": ("Operation",), "answer_type": "application/json"} | more
        return Route(method="GET", path=path, handler=handler, meter="none", summary=summary, **fields)

    return (
        get("/api/health", health, "Say how it is", answer=Health, answer_type=""),
        get("/health/live", live, "Say that the process lives"),
        get("/health/ready", ready, "Say whether it can serve"),
        get("/api/version", version, "Say which version this is", answer=Version, answer_type=""),
        get("/metrics", figures, "Give all figures in Prometheus' form", answer_type="text/plain"),
        get("/openapi.json", description, "Describe the API", access="user"),
        get("/docs", documentation, "Describe the API, to be read", access="user", answer_type="text/html"),
    )


def _worst(found: Mapping[str, Check]) -> State:
    states = {check.status for check in found.values()}
    return "down" if "down" in states else "degraded" if "degraded" in states else "ok"


def _has_token(exchange: Exchange, metrics: MetricsSettings) -> bool:
    given = exchange.header(b"authorization") or b""
    if metrics.token is None or not metrics.token:
        return False
    return hmac.compare_digest(given, b"Bearer " + metrics.token.reveal().encode())


def _is_neighbour(exchange: Exchange) -> bool:
    """Tell whether a program on this machine asks, and not a proxy on behalf of another.

    A proxy is known by any header that proxies add, even an empty one. One that adds none cannot be told from a
    neighbour: the operator keeps `/metrics` out of what such a proxy passes on.
    """
    headers: Sequence[Header] = exchange.scope["headers"]
    if any(name == b"forwarded" or name.startswith(b"x-forwarded-") for name, _ in headers):
        return False
    peer = exchange.scope.get("client")
    try:
        return peer is not None and ipaddress.ip_address(peer[0]).is_loopback
    except ValueError:
        return False
