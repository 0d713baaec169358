"""A route: the one source of routing, of the API's description, of the authorisation matrix and of metering."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec

from tertulia.asgi.exchange import Answer, Exchange

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Access = Literal["open", "user", "supervisor", "admin"]
Meter = Literal["none", "generation", "embedding", "moderation", "probe"]
"""How a route that calls an upstream is metered: `none` calls none, and `probe` is an operator's test of a host."""
Form = Literal["openai", "tertulia", "anthropic"]
"""The form of errors (HTTP contract, Errors)."""
Handler = Callable[[Exchange], Awaitable[Answer | None]]
"""Answers an exchange; None: it has opened a stream, and whoever writes it will close it."""

_PATH: Final = re.compile(r"/|(/([A-Za-z0-9._~:-]+|\{[a-z_][a-z0-9_]*\}))+(/\{[a-z_][a-z0-9_]*:path\})?")
_PARAMETER: Final = re.compile(r"\{([a-z_][a-z0-9_]*)(:path)?\}")


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter or header that a route reads, for the API's description."""

    name: str
    shape: Any = str
    where: Literal["query", "header"] = "query"
    required: bool = False
    summary: str = ""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    `path` is a template: `/api/generations/{id}/events`; a last `{id:path}` takes slashes too. `access` is the least
    role, `scope` what the credential must have been made for. `body` and `answer` are msgspec types, or None where
    the bytes are no JSON of ours (then `body_type` and `answer_type` say what they are). `status` is that of success.
    `errors` names codes beside those that every route may answer with. `max_body_bytes` replaces the usual bound on
    a body.

    Raises `ValueError` for a path that is no template.
    """

    method: Method
    path: str
    handler: Handler
    access: Access
    meter: Meter
    scope: str = ""
    body: Any = None
    answer: Any = None
    status: int = 200
    body_type: str = ""
    answer_type: str = ""
    form: Form = "tertulia"
    summary: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[str, ...] = ()
    max_body_bytes: int = 0
    hidden: bool = False

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"{self.path!r} is not a path template")
        names = self.names()
        if len(set(names)) != len(names):
            raise ValueError(f"{self.path!r} names a parameter twice")

    def names(self) -> tuple[str, ...]:
        """Give the names of the path's parameters, in order."""
        return tuple(found[1] for found in _PARAMETER.finditer(self.path))
