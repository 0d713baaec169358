"""One request and its answer, as a handler sees them."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tertulia.asgi.forwarded import Proxies
from tertulia.asgi.settings import RequestSettings
from tertulia.asgi.wire import Header, Wire
from tertulia.generation.push import Push
from tertulia.identity.principal import Principal, Unauthenticated
from tertulia.kernel.errors import Invalid

JSON: Final = b"application/json"
EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_NO_STORE: Final = (b"cache-control", b"no-store")
_UNBUFFERED: Final = (b"x-accel-buffering", b"no")
_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True):
    """A whole answer. `headers` are added to those that every answer carries."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()


def json_answer(value: Any, status: int = 200, headers: Iterable[Header] = ()) -> Answer:
    """Answer with a value as JSON."""
    return Answer(status, _encode(value), JSON, tuple(headers))


class Exchange:
    """What a handler is given.

    `method` and `path` are the request's (the path decoded), `params` the values of the route's template, and
    `request_id` what every answer and log line of it carries. `limits` are the sizes that the operator allows, and
    `max_body_bytes` is this route's own bound on the body.
    """

    __slots__ = (
        "_client",
        "_fields",
        "_head",
        "_principal",
        "_proxies",
        "_query",
        "limits",
        "max_body_bytes",
        "method",
        "params",
        "path",
        "request_id",
        "scope",
        "wire",
    )

    def __init__(self, scope: Mapping[str, Any], wire: Wire, limits: RequestSettings, proxies: Proxies) -> None:
        self.scope = scope
        self.wire = wire
        self.limits = limits
        self.max_body_bytes = limits.max_body_bytes
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.params: Mapping[str, str] = {}
        self.request_id = ""
        self._fields: dict[bytes, bytes] = dict(scope["headers"])
        self._head: list[Header] = []
        self._principal: Principal | None = None
        self._proxies = proxies
        self._query: dict[str, str] | None = None
        self._client: str | None = None

    def header(self, name: bytes) -> bytes | None:
        """Give a header by its name in lower case; the last one where it came more than once."""
        return self._fields.get(name)

    def header_values(self, name: bytes) -> list[bytes]:
        """Give all values of a header, as they came."""
        value = self._fields.get(name)
        if value is None:
            return []
        headers: Sequence[Header] = self.scope["headers"]
        if len(headers) == len(self._fields):
            return [value]
        return [each for key, each in headers if key == name]

    @property
    def query(self) -> Mapping[str, str]:
        """The query's fields; the last value where one came more than once.

        Raises `Invalid` for a NUL in one, which not every database can hold.
        """
        if self._query is None:
            text: str = self.scope["query_string"].decode("latin-1")
            self._query = dict(parse_qsl(text, keep_blank_values=True))
            for name, value in self._query.items() if "%00" in text else ():
                if "\0" in value or "\0" in name:
                    raise Invalid("A query parameter must not contain the character U+0000.")
        return self._query

    @property
    def client(self) -> str:
        """The address of the client: of the peer, or what a trusted proxy says; empty where there is none."""
        if self._client is None:
            peer = self.scope.get("client")
            self._client = self._proxies.client(peer[0] if peer else "", self.header_values(b"x-forwarded-for"))
        return self._client

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the client used it."""
        peer = self.scope.get("client")
        return self._proxies.scheme(
            peer[0] if peer else "", self.scope.get("scheme", "http"), self.header(b"x-forwarded-proto")
        )

    @property
    def principal(self) -> Principal:
        """Who acts.

        Raises `Unauthenticated` on an open route that was called without a credential.
        """
        if self._principal is None:
            raise Unauthenticated("missing_credential")
        return self._principal

    @property
    def caller(self) -> Principal | None:
        """Who acts, or None on an open route without a good credential."""
        return self._principal

    def identify(self, principal: Principal) -> None:
        """Say who acts; the door does, before the handler is called."""
        self._principal = principal

    async def body(self, limit: int | None = None) -> bytes:
        """Read the whole request body.

        Raises `BodyTooLarge` (at once where `Content-Length` says so), `RequestTimeout`, `MalformedRequest`, and
        `ClientLeft`.
        """
        return await self.wire.body(self.max_body_bytes if limit is None else limit, self.limits.body_timeout_s)

    async def pieces(self, limit: int | None = None) -> AsyncGenerator[bytes]:
        """Read the request body piece by piece, for what is too large to be held at once; raises as `body`."""
        bound = self.max_body_bytes if limit is None else limit
        while piece := await self.wire.piece(bound, self.limits.body_timeout_s):
            yield piece

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add a header to whatever answer this exchange gets, an error too."""
        self._head.append((name, value))

    def head(self, content_type: bytes, headers: Iterable[Header] = ()) -> list[Header]:
        """Give all headers of an answer: what every one carries, those added to the exchange, its own."""
        head = [_NOSNIFF, *self._head, *headers]
        if content_type:
            head.append((b"content-type", content_type))
        if not any(name == b"cache-control" for name, _ in head):
            head.append(_NO_STORE)
        return head

    def stream(self, status: int = 200, headers: Iterable[Header] = (), content_type: bytes = EVENT_STREAM) -> Push:
        """Send the head of a streamed answer, and open its body for writing. The handler then returns None.

        Proxies are asked not to collect it.
        """
        return self.wire.stream(status, self.head(content_type, (_UNBUFFERED, *headers)))

    def on_gone(self, call: Callable[[], None]) -> None:
        """Register what is called once when the client leaves before its answer is whole; at once if it has left."""
        self.wire.on_gone(call)
