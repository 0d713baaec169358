"""The port of HTTP to providers: a request goes out at once, and the answer is pushed to whoever waits for it.

No call here waits and no delta passes through a task of its own: what arrives is handed on from where it is read. An
adapter verifies TLS, follows no redirect, keeps no cookies, and tries a request again only when not one byte of it was
sent.
"""

import re
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from tertulia.kernel.errors import Kind, TertuliaError


class TransportError(TertuliaError):
    """An exchange did not come to its end. The message names no address."""

    kind = Kind.UPSTREAM
    code = "upstream_error"


class Unreachable(TransportError):
    """No connection: the name does not resolve, nobody listens, or TLS does not verify."""

    kind = Kind.UNAVAILABLE
    code = "provider_unavailable"


class Unsendable(TransportError):
    """The request itself cannot go out: its URL or a header is malformed."""

    code = "upstream_error"


class Silent(TransportError):
    """The other side took longer than the limit to connect, to begin, or to go on."""

    kind = Kind.UPSTREAM_TIMEOUT
    code = "upstream_timeout"


class Broken(TransportError):
    """The connection ended before the answer did."""


class Malformed(TransportError):
    """What came is not HTTP, or cannot be decompressed."""

    code = "upstream_invalid"


class Oversized(TransportError):
    """The answer is larger than its cap, or expands to something that is."""

    code = "upstream_invalid"


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one exchange: times in seconds, sizes in bytes.

    `idle_s` runs to the first byte of the answer and then between bytes; not while the exchange is paused. `max_bytes`
    counts what was decompressed.
    """

    connect_s: float = 10.0
    idle_s: float = 300.0
    max_bytes: int = 1024 * 1024 * 1024


class Receiver(Protocol):
    """Who waits for an answer: `head`, then any number of `data`, then one of `end` and `failed`; nothing after it.

    Called from where the socket is read; never awaits, never raises. After `Exchange.abort()` nothing is called.
    """

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the status and the headers, by lower-case names, of the final answer."""
        ...

    def data(self, data: bytes) -> None:
        """Take bytes of the body, decompressed, as they come."""
        ...

    def end(self) -> None:
        """Take the end of a body that is complete as far as HTTP can tell."""
        ...

    def failed(self, error: TransportError) -> None:
        """Take the end of an exchange that broke; at any time, also before `head`."""
        ...


class Exchange(Protocol):
    """A request on its way. All of it is synchronous and idempotent."""

    def abort(self) -> None:
        """Close the connection at once, whatever it is doing."""
        ...

    def pause(self) -> None:
        """Stop reading, so that the other side must wait, until `resume`."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """A small answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """HTTP to providers. Used from one event loop."""

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, receiver: Receiver, limits: Limits = ...
    ) -> Exchange:
        """Send a request; every failure comes through the receiver, never from here and never before this returns."""
        ...

    async def get(self, url: str, headers: Mapping[str, str], limits: Limits = ...) -> Answer:
        """Ask for something small, such as a list of models.

        Raises `TransportError`.
        """
        ...

    async def close(self) -> None:
        """Abort what runs, and close every connection."""
        ...


_FORBIDDEN: Final = re.compile(r"[\r\n\x00]")
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Give the headers back when none of them could end its line and begin another (RFC 9110, 5.5).

    Raises `Unsendable`, which names the header and not its value.
    """
    for name, value in headers.items():
        if _NAME.fullmatch(name) is None:
            raise Unsendable("A header of the provider's request has a name that HTTP does not allow.")
        if _FORBIDDEN.search(value) is not None or not value.isascii():
            raise Unsendable(f"The value of the header {name} contains characters that HTTP does not allow.")
    return headers


def checked_url(url: str) -> str:
    """Give the address back when it is one of HTTP with a host.

    Raises `Unsendable`, which does not name it.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or _FORBIDDEN.search(url) is not None:
        raise Unsendable("The provider's base_url is not an http or https address.")
    return url
