"""Which hosts this server answers for, and which origins may read its answers."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from tertulia.asgi.exchange import Exchange
from tertulia.asgi.settings import ServerSettings
from tertulia.asgi.wire import Header, MalformedRequest
from tertulia.kernel.errors import Kind, TertuliaError

_REMEMBERED: Final = 1024
_EXPOSED: Final = (
    b"x-request-id, x-generation-id, x-message-id, x-user-message-id, x-conversation-id, x-provider, x-model, "
    b"x-dropped-params, x-should-retry, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
    b"x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
    b"idempotency-replayed, retry-after, etag"
)
_ASKED_FOR: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, ")


class HostNotAllowed(TertuliaError):
    """The request names a host that this server does not answer for: a mistake, or DNS rebinding."""

    kind = Kind.FORBIDDEN
    code = "host_not_allowed"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"This server does not answer for the host {host[:100]!r}. Add it to `allowed_hosts` in `[server]`."
        )


class Hosts:
    """The names that this server goes by (Operation, `[server] allowed_hosts`)."""

    def __init__(self, settings: ServerSettings) -> None:
        names = {name.lower() for name in settings.allowed_hosts}
        names.add((urlsplit(settings.public_url).hostname or "").lower())
        if not _is_any(settings.host):
            names.add(settings.host.lower())
        self._all = "*" in names
        self._names = names - {"", "*"}
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._seen: set[bytes] = set()

    def require(self, values: Sequence[bytes], http_version: str) -> None:
        """Check the `Host` headers of a request.

        Raises `HostNotAllowed`, and `MalformedRequest` where there is none, or more than one.
        """
        if len(values) != 1:
            if not values and http_version == "1.0":
                return
            raise MalformedRequest("it needs one Host header")
        if values[0] in self._seen:
            return
        host = _hostname(values[0])
        if not self._allows(host):
            raise HostNotAllowed(host)
        if len(self._seen) < _REMEMBERED:
            self._seen.add(values[0])

    def _allows(self, host: str) -> bool:
        return self._all or host in self._names or host.endswith(self._suffixes) or _is_loopback(host)


class Cors:
    """The origins whose pages may call (Fetch standard, CORS protocol; Operation, `[server] cors_origins`)."""

    def __init__(self, origins: Iterable[str]) -> None:
        known = {origin.rstrip("/").encode("latin-1") for origin in origins}
        self._any = b"*" in known
        self._origins = known - {b"*"}
        self._on = bool(known)

    def headers(self, exchange: Exchange) -> Sequence[Header]:
        """Give what every answer to this request carries."""
        if not self._on:
            return ()
        origin = exchange.header(b"origin")
        vary = (b"vary", b"origin")
        if origin is None:
            return (vary,)
        exposed = (b"access-control-expose-headers", _EXPOSED)
        if origin in self._origins:
            allowed = (b"access-control-allow-origin", origin)
            return (vary, allowed, (b"access-control-allow-credentials", b"true"), exposed)
        return (vary, (b"access-control-allow-origin", b"*"), exposed) if self._any else (vary,)

    def preflight(self, exchange: Exchange, methods: Sequence[str]) -> Sequence[Header] | None:
        """Give what an answer to a preflight carries beside `headers`; None where the origin may not call."""
        origin = exchange.header(b"origin")
        if origin is None or exchange.header(b"access-control-request-method") is None:
            return None
        if not (self._any or origin in self._origins):
            return None
        asked = exchange.header(b"access-control-request-headers") or b""
        named = asked if _ASKED_FOR.issuperset(asked) else b""
        return (
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", named),
            (b"access-control-max-age", b"600"),
        )


def _hostname(value: bytes) -> str:
    host = value.decode("latin-1").strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host
