"""The root of every error that this product raises on purpose.

A room declares its own errors beside what raises them, as subclasses that fix `kind` and `code`. An error knows
nothing of HTTP: `asgi.problem` turns kinds into statuses.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, ClassVar


class Kind(Enum):
    """What sort of thing went wrong, as far as a caller can act on it."""

    MALFORMED = auto()  # cannot be read at all
    INVALID = auto()  # was read, and breaks a rule
    UNAUTHENTICATED = auto()
    PAYMENT = auto()
    FORBIDDEN = auto()
    NOT_FOUND = auto()
    METHOD = auto()
    TIMEOUT = auto()  # the caller was too slow
    CONFLICT = auto()
    GONE = auto()
    TOO_LARGE = auto()
    UNSUPPORTED_MEDIA = auto()
    LIMITED = auto()
    INTERNAL = auto()
    UPSTREAM = auto()  # a provider answered badly
    UNAVAILABLE = auto()
    UPSTREAM_TIMEOUT = auto()


class TertuliaError(Exception):
    """An error with a stable code and a sentence that says what to do.

    `details` is safe to show to the caller; `retry_after` is in seconds.
    """

    kind: ClassVar[Kind] = Kind.INTERNAL
    code: str = "internal"

    def __init__(
        self, message: str, *, details: Mapping[str, Any] | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details) if details else None
        self.retry_after = retry_after


class Invalid(TertuliaError):
    """Input that breaks a rule; `path` names the place in it, dotted, and `param` its first name."""

    kind = Kind.INVALID
    code = "invalid"

    def __init__(self, message: str, *, path: str = "", code: str = "invalid") -> None:
        super().__init__(message, details={"errors": [{"path": path, "message": message}]} if path else None)
        self.code = code
        self.path = path


class NotFound(TertuliaError):
    """Nothing has this id, or this path."""

    kind = Kind.NOT_FOUND
    code = "not_found"


class Forbidden(TertuliaError):
    """It exists and belongs to another, or needs a role that the caller has not."""

    kind = Kind.FORBIDDEN
    code = "forbidden"
