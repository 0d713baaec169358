"""From the headers of a request to who acts: one extractor for all doors (HTTP contract, Conventions)."""

from typing import Final, Protocol

from tertulia.asgi.exchange import Exchange
from tertulia.asgi.route import Route
from tertulia.identity.principal import Authenticator, Principal, Unauthenticated

_LONGEST: Final = 8192
_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"


class Sessions(Protocol):
    """What answers for the page's cookie, where no header names a credential."""

    async def principal(self, exchange: Exchange) -> Principal | None:
        """Give the cookie's user; None without a cookie.

        Raises `Unauthenticated` for a cookie that is not good, and `Forbidden` with the code `csrf` where an unsafe
        request does not prove that it comes from the page.
        """
        ...


class Credentials:
    """Who acts, by the credential of a request."""

    def __init__(self, authenticator: Authenticator, sessions: Sessions | None = None) -> None:
        self._authenticator = authenticator
        self._sessions = sessions

    def known(self, exchange: Exchange) -> Principal | None:
        """Give the principal of an ordinary request from memory, without waiting; None: ask `principal`."""
        header = exchange.header(_AUTHORIZATION)
        if header is None or header[:7] != b"Bearer " or exchange.header(_API_KEY) is not None:
            return None
        if len(exchange.header_values(_AUTHORIZATION)) != 1 or len(header) > _LONGEST or not header.isascii():
            return None
        return self._authenticator.cached(header[7:].decode("ascii").strip())

    async def principal(self, exchange: Exchange) -> Principal:
        """Give the principal of a request.

        Raises `Unauthenticated`: no credential, one that is not good, a header that came twice, or two credentials
        of different users; and what `Sessions.principal` raises.
        """
        found = await self.optional(exchange)
        if found is None:
            raise Unauthenticated("missing_credential")
        return found

    async def optional(self, exchange: Exchange) -> Principal | None:
        """Give the principal of a request, or None where it brings no credential; raises as `principal`."""
        given = [each for each in (_bearer(exchange), _api_key(exchange)) if each]
        if not given:
            return await self._sessions.principal(exchange) if self._sessions is not None else None
        first = await self._resolve(given[0])
        for other in given[1:]:
            if other != given[0] and (await self._resolve(other)).user_id != first.user_id:
                raise Unauthenticated("invalid_credential")
        return first

    async def _resolve(self, credential: str) -> Principal:
        return self._authenticator.cached(credential) or await self._authenticator.authenticate(credential)


def require_access(principal: Principal, route: Route) -> None:
    """Check role and scope.

    Raises `Forbidden`.
    """
    if route.access in {"supervisor", "admin"}:
        principal.require_role(route.access)  # pyright: ignore[reportArgumentType]
    if route.scope:
        principal.require_scope(route.scope)


def _bearer(exchange: Exchange) -> str:
    """Give the Bearer token; other schemes are meant for proxies before us."""
    scheme, _, value = _single(exchange, _AUTHORIZATION).strip().partition(b" ")
    return _text(value) if scheme.lower() == b"bearer" else ""


def _api_key(exchange: Exchange) -> str:
    return _text(_single(exchange, _API_KEY))


def _single(exchange: Exchange, name: bytes) -> bytes:
    values = exchange.header_values(name)
    if len(values) > 1:
        raise Unauthenticated("invalid_credential")
    return values[0] if values else b""


def _text(value: bytes) -> str:
    value = value.strip()
    if len(value) > _LONGEST or not value.isascii():
        raise Unauthenticated("invalid_credential")
    return value.decode("ascii")
