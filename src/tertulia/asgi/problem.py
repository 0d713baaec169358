"""Errors on the wire: the one file that turns kinds and codes into statuses and forms (HTTP contract, Errors)."""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tertulia.asgi.exchange import JSON, Answer
from tertulia.asgi.route import Form
from tertulia.asgi.wire import Header
from tertulia.kernel.errors import Kind, TertuliaError

STATUS: Final[Mapping[str, int]] = {
    "malformed_json": 400,
    "malformed_request": 400,
    "invalid_event_id": 400,
    "unknown_tool": 400,
    "unsupported_parameter": 400,
    "context_length_exceeded": 400,
    "content_blocked": 400,
    "provider_not_configured": 400,
    "missing_credential": 401,
    "invalid_credential": 401,
    "expired_credential": 401,
    "insufficient_credits": 402,
    "forbidden": 403,
    "csrf": 403,
    "model_not_allowed": 403,
    "plan_forbids": 403,
    "content_held": 403,
    "not_found": 404,
    "model_not_found": 404,
    "generation_expired": 404,
    "nothing_live": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "version_conflict": 409,
    "turn_in_progress": 409,
    "character_mismatch": 409,
    "idempotency_in_progress": 409,
    "idempotency_unknown": 409,
    "name_taken": 409,
    "limit_reached": 409,
    "legal_hold": 409,
    "not_running": 409,
    "link_used": 410,
    "body_too_large": 413,
    "attachment_too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "host_not_allowed": 421,
    "invalid": 422,
    "idempotency_key_reused": 422,
    "missing_character_data": 422,
    "rate_limited": 429,
    "concurrency_limited": 429,
    "quota_exceeded": 429,
    "queue_full": 429,
    "headers_too_large": 431,
    "internal": 500,
    "upstream_error": 502,
    "upstream_truncated": 502,
    "upstream_invalid": 502,
    "interrupted": 502,
    "overloaded": 503,
    "provider_unavailable": 503,
    "storage_unavailable": 503,
    "draining": 503,
    "upstream_timeout": 504,
}
"""Every code of the contract, and its status; `invalid` is 400 on the OpenAI and Anthropic faces."""

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
_OPENAI_TYPE: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPE: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
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
    if error.code == "invalid":
        return 422 if form == "tertulia" else 400
    return STATUS.get(error.code) or _STATUS_OF_KIND[error.kind]


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
    called = bool(error.details and "generationId" in error.details)
    return status == 409 or called or error.kind in {Kind.UPSTREAM, Kind.UPSTREAM_TIMEOUT}


def _openai(error: TertuliaError, request_id: str) -> dict[str, Any]:
    status = status_of(error, "openai")
    kind = _OPENAI_TYPE.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
    written = {"message": error.message, "type": kind, "param": _param(error), "code": error.code}
    return {**_with_details(written, error), "request_id": request_id}


def _anthropic(error: TertuliaError) -> dict[str, Any]:
    status = status_of(error, "anthropic")
    kind = _ANTHROPIC_TYPE.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
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
