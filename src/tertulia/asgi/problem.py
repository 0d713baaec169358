"""Errors on the wire: kinds and codes become statuses, headers and the forms of the faces (HTTP contract, Errors)."""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tertulia.asgi.exchange import JSON, Answer
from tertulia.asgi.route import Form
from tertulia.asgi.wire import Header
from tertulia.generation.failed import GenerationFailed
from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.wire import statuses

STATUS: Final[Mapping[str, int]] = statuses.STATUS | {"invalid": 422}
"""Every code of the contract, and its status on our own faces; others' have `invalid` as 400."""

_STATUS_OF_KIND: Final[Mapping[Kind, int]] = {
    Kind.MALFORMED: 400,
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.PAYMENT: 402,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD: 405,
    Kind.TIMEOUT: 408,
    Kind.CONFLICT: 409,
    Kind.GONE: 410,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED_MEDIA: 415,
    Kind.LIMITED: 429,
    Kind.INTERNAL: 500,
    Kind.UPSTREAM: 502,
    Kind.UNAVAILABLE: 503,
    Kind.UPSTREAM_TIMEOUT: 504,
}
_ESCAPES: Final = ((b"&", b"\\u0026"), (b"<", b"\\u003c"), (b">", b"\\u003e"))
_WAIT: Final = frozenset({429, 503})


class Internal(TertuliaError):
    """A defect of ours: the caller is given the incident's id, the log its story."""

    def __init__(self, incident: str) -> None:
        super().__init__(
            f"Something went wrong here that should not. Give the operator the incident {incident}.",
            details={"incident": incident},
        )


def form_of_path(path: str) -> Form:
    """Give the form of errors on a path that no route is known for."""
    if path.startswith("/v1/messages"):
        return "anthropic"
    return "openai" if path == "/v1" or path.startswith("/v1/") else "tertulia"


def status_of(error: TertuliaError, form: Form) -> int:
    """Give the HTTP status of an error on a face."""
    known = STATUS if form == "tertulia" else statuses.STATUS
    return known.get(error.code) or _STATUS_OF_KIND[error.kind]


def body_of(error: TertuliaError, form: Form, request_id: str) -> dict[str, Any]:
    """Write an error in the form of a face: the body of an HTTP answer, or the data of an event."""
    if form == "openai":
        return {"error": _openai(error, request_id)}
    if form == "anthropic":
        return {"type": "error", "error": _anthropic(error), "request_id": request_id}
    return {"error": _with_details({"code": error.code, "message": error.message}, error), "requestId": request_id}


def answer_to(error: TertuliaError, form: Form, request_id: str) -> Answer:
    """Write the HTTP answer to an error; its body is safe inside HTML, whatever the message quotes."""
    body = msgspec.json.encode(body_of(error, form, request_id), enc_hook=str)
    for raw, escaped in _ESCAPES:
        body = body.replace(raw, escaped)
    status = status_of(error, form)
    return Answer(status, body, JSON, tuple(_headers(error, status)))


def retry_after(seconds: float | None) -> int:
    """Give `Retry-After`: whole seconds, at least 1."""
    return max(1, math.ceil(seconds or 0))


def _headers(error: TertuliaError, status: int) -> list[Header]:
    headers: list[Header] = []
    if error.retry_after is not None or status in _WAIT or error.code == "idempotency_in_progress":
        headers.append((b"retry-after", b"%d" % retry_after(error.retry_after)))
    if _paid_for(error, status):
        headers.append((b"x-should-retry", b"false"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def _paid_for(error: TertuliaError, status: int) -> bool:
    """Tell whether a client that retries by itself would pay twice, or get the same conflict again."""
    if error.code == "idempotency_in_progress":
        return False
    if isinstance(error, GenerationFailed):
        return error.called
    return status == 409 or error.kind in {Kind.UPSTREAM, Kind.UPSTREAM_TIMEOUT}


def _openai(error: TertuliaError, request_id: str) -> dict[str, Any]:
    kind = statuses.openai_type(status_of(error, "openai"))
    written = {"message": error.message, "type": kind, "param": _param(error), "code": error.code}
    return {**_with_details(written, error), "request_id": request_id}


def _anthropic(error: TertuliaError) -> dict[str, Any]:
    kind = statuses.anthropic_type(status_of(error, "anthropic"))
    return _with_details({"type": kind, "message": error.message, "code": error.code}, error)


def _with_details(written: dict[str, Any], error: TertuliaError) -> dict[str, Any]:
    details = _details(error)
    return {**written, "details": details} if details else written


def _details(error: TertuliaError) -> Any:
    """Give the details; those of `invalid` are the list itself (HTTP contract, Errors)."""
    if error.details is not None and error.details.keys() == {"errors"}:
        return error.details["errors"]
    return error.details


def _param(error: TertuliaError) -> str | None:
    path: object = getattr(error, "path", "")
    return path.partition(".")[0] or None if isinstance(path, str) else None
