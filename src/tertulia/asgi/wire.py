"""The port between an exchange and the connection that carries it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

from tertulia.generation.push import Push
from tertulia.kernel.errors import Kind, TertuliaError

Header = tuple[bytes, bytes]
"""A field of a head: its name in lower case, its value."""

CLIENT_GONE = 499
"""The status that is logged, and never sent, where the client left before its answer was whole."""


def declared_length(headers: Iterable[Header]) -> int:
    """Give `Content-Length`, or 0 where there is none that could be one."""
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else 0
    return 0


class ClientLeft(Exception):
    """The client went away while something was awaited from it; there is nobody to answer."""


class BodyTooLarge(TertuliaError):
    """The request's body is longer than this route takes."""

    kind = Kind.TOO_LARGE
    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The body is larger than {limit} bytes, which is the most that is taken here. Send less, or in parts.",
            details={"limit": limit},
        )


class RequestTimeout(TertuliaError):
    """The request stopped coming before it was whole."""

    kind = Kind.TIMEOUT
    code = "request_timeout"

    def __init__(self, part: Literal["body", "head"], seconds: float) -> None:
        super().__init__(f"The request's {part} stalled for {seconds:g} seconds. Send it again.")


class MalformedRequest(TertuliaError):
    """What came is no HTTP request, or one whose body is framed wrongly."""

    kind = Kind.MALFORMED
    code = "malformed_request"

    def __init__(self, why: str) -> None:
        super().__init__(f"This is not a well-formed HTTP request: {why}.")


class HeadersTooLarge(TertuliaError):
    """The header block is too long."""

    kind = Kind.MALFORMED
    code = "headers_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The header block is larger than {limit} bytes.", details={"limit": limit})


class UriTooLong(TertuliaError):
    """The URL is too long."""

    kind = Kind.MALFORMED
    code = "uri_too_long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The URL is longer than {limit} bytes.", details={"limit": limit})


class Wire(Protocol):
    """One request and its answer on a connection; our server's cycle, or any ASGI server's `receive` and `send`."""

    status: int
    """The status that was sent; 0 before."""
    finished: bool
    """Whether the answer is whole."""

    async def body(self, limit: int, timeout_s: float) -> bytes:
        """Read the whole request body.

        Raises `BodyTooLarge` beyond `limit` bytes, `RequestTimeout` when nothing comes for `timeout_s` seconds,
        `MalformedRequest` where its framing is broken, `ClientLeft`.
        """
        ...

    async def piece(self, limit: int, timeout_s: float) -> bytes:
        """Read the next piece of the body, empty at the end; a client that sends faster than it is asked waits.

        Raises as `body`.
        """
        ...

    async def reply(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer. `Content-Length` is added; an answer to HEAD keeps its body to itself."""
        ...

    def stream(self, status: int, headers: Sequence[Header]) -> Push:
        """Send the head, and open the body for writing."""
        ...

    async def ended(self) -> None:
        """Wait until the stream was closed, or the client left."""
        ...

    def on_gone(self, call: Callable[[], None]) -> None:
        """Register what is called once when the client leaves before the answer is whole; at once if it has left."""
        ...

    def abort(self) -> None:
        """Cut the connection, so that a client cannot take what it has for the whole answer."""
        ...
