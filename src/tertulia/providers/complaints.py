"""Understand the body of a provider's error, whatever its shape (Providers, 4.0 "Error map")."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import msgspec

from tertulia.providers.redaction import redacted

_WORD_CAP: Final = 100
_LONGEST_WAIT_S: Final = 86_400.0

Json = dict[str, Any]

_STATUS_OF_WORD: Final = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "deadline_exceeded": 504,
    "timeout_error": 504,
    "overloaded_error": 529,
    "unavailable": 503,
}
"""The status that an error in a stream would have had."""


class Complaint(msgspec.Struct, frozen=True):
    """What an error says, once its shape is understood; `words` are its codes, types and statuses, lower case."""

    message: str = ""
    words: tuple[str, ...] = ()
    status: int | None = None
    param: str | None = None
    retry_after: float | None = None
    flagged: bool = False


def read_complaint(body: bytes) -> Complaint:
    """Understand the body of an error: any JSON shape of Providers, 4.0, a page, a plain sentence, or nothing."""
    try:
        return complaint_of(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        text = body.decode(errors="replace").strip()
    return Complaint() if not text or text.startswith("<") else Complaint(redacted(text))


def complaint_of(error: Any) -> Complaint:
    """Understand an error that was decoded already: an object, a list of them, or a sentence."""
    if isinstance(error, list):
        error = next(iter(cast("list[Any]", error)), None)
    if isinstance(error, str):
        return Complaint(redacted(error))
    if not isinstance(error, dict):
        return Complaint()
    outer = cast("Json", error)
    inner = outer.get("error") or outer.get("fault") or outer
    fields: Json = cast("Json", inner) if isinstance(inner, dict) else {**outer, "message": inner}
    words = tuple(_words(fields, outer))
    param = fields.get("param")
    return Complaint(
        message=redacted(_message(fields)),
        words=words,
        status=_status(fields, words),
        param=param[:_WORD_CAP] if isinstance(param, str) else None,
        retry_after=_retry_delay(fields),
        flagged="reasons" in _dict(fields.get("metadata")),
    )


def _message(fields: Json) -> str:
    for name in ("message", "faultstring", "msg", "detail", "details", "error_description", "title"):
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, dict):
            return _message(cast("Json", value))
        if isinstance(value, list) and name == "detail":
            return "; ".join(_validation(item) for item in cast("list[Any]", value))
    return ""


def _validation(item: Any) -> str:
    """Read one entry of a list of broken rules, as FastAPI and Mistral give it."""
    fields = _dict(item)
    place = fields.get("loc")
    path = ".".join(str(step) for step in cast("list[Any]", place)) if isinstance(place, list) else ""
    return f"{path}: {fields.get('msg', '')}" if path else str(fields.get("msg", item))


def _words(*levels: Json) -> list[str]:
    found: list[str] = []
    for fields in levels:
        nested = (_dict(fields.get(name)) for name in ("innererror", "details", "metadata"))
        listed = (_dict(item) for item in _list(fields.get("details")))
        for place in (fields, *nested, *listed):
            values = (place.get(name) for name in ("code", "type", "status", "reason", "error_code"))
            found += [str(value)[:_WORD_CAP].lower() for value in values if isinstance(value, str | int)]
    return list(dict.fromkeys(found))


def _status(fields: Json, words: tuple[str, ...]) -> int | None:
    for name in ("code", "status", "status_code", "http_status"):
        value = fields.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return next((_STATUS_OF_WORD[word] for word in words if word in _STATUS_OF_WORD), None)


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Read how long to wait, in seconds: `retry-after-ms`, or `Retry-After` in seconds or as a date."""
    if (millis := _number(headers.get("retry-after-ms"))) is not None:
        return _bounded(millis / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _number(value)) is not None:
        return _bounded(seconds)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    now = datetime.now(UTC)
    return _bounded((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp())


def _retry_delay(fields: Json) -> float | None:
    """Read Gemini's `RetryInfo`: `{"retryDelay": "34.5s"}` among the details."""
    for item in _list(fields.get("details")):
        delay = _dict(item).get("retryDelay")
        if isinstance(delay, str) and (seconds := _number(delay.removesuffix("s"))) is not None:
            return _bounded(seconds)
    return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)


def _dict(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
