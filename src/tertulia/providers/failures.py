"""What a provider's errors mean: one `Failure` with a code of the HTTP contract (Providers, 4.0 "Error map")."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from tertulia.net.transport import Broken, Oversized, TransportError, Unsendable
from tertulia.providers.complaints import Complaint, complaint_of, read_complaint, retry_after_of
from tertulia.providers.port import Failure
from tertulia.providers.redaction import redacted
from tertulia.turn.events import Fault


class _Class(msgspec.Struct, frozen=True):
    """How a sort of error is treated: its code, and what routing may do about it."""

    code: str
    retry: bool = False
    fallback: bool = False
    breaker: bool = False
    key: Literal["keep", "cool", "disable"] = "keep"


_INVALID: Final = _Class("invalid")
_CONTEXT: Final = _Class("context_length_exceeded")
_BLOCKED: Final = _Class("content_blocked")
_TOO_LARGE: Final = _Class("body_too_large")
_NO_MODEL: Final = _Class("model_not_found", fallback=True)
_CREDENTIAL: Final = _Class("upstream_error", fallback=True, key="cool")
_SPENT: Final = _Class("upstream_error", fallback=True, key="disable")
_REFUSED: Final = _Class("upstream_error", fallback=True)
_ABANDONED: Final = _Class("upstream_error")
_BUSY: Final = _Class("upstream_error", retry=True, fallback=True)
_LIMITED: Final = _Class("rate_limited", retry=True, fallback=True, key="cool")
_SLOW: Final = _Class("upstream_timeout", retry=True, fallback=True, breaker=True)
_DOWN: Final = _Class("provider_unavailable", retry=True, fallback=True, breaker=True)
_BROKEN: Final = _Class("upstream_error", retry=True, fallback=True, breaker=True)

_BY_STATUS: Final = {
    400: _INVALID,
    401: _CREDENTIAL,
    402: _SPENT,
    404: _NO_MODEL,
    408: _SLOW,
    409: _BUSY,
    413: _TOO_LARGE,
    422: _INVALID,
    424: _BROKEN,
    429: _LIMITED,
    498: _BUSY,
    499: _ABANDONED,
    501: _REFUSED,
    503: _DOWN,
    529: _DOWN,
}

_BY_WORD: Final = {
    "context_length_exceeded": _CONTEXT,
    "exceed_context_size_error": _CONTEXT,
    "content_filter": _BLOCKED,
    "content_policy_violation": _BLOCKED,
    "moderation_blocked": _BLOCKED,
    "responsibleaipolicyviolation": _BLOCKED,
    "insufficient_quota": _SPENT,
    "billing_error": _SPENT,
    "billing_hard_limit_reached": _SPENT,
    "enforced_spend_limit_reached": _SPENT,
    "api_key_invalid": _CREDENTIAL,
    "invalid_api_key": _CREDENTIAL,
    "model_not_found": _NO_MODEL,
}
"""What an error's own words say more exactly than its status."""

_SPENT_TEXT: Final = re.compile(r"credit balance is too low|exceeded your current quota", re.IGNORECASE)
_CONTEXT_TEXT: Final = re.compile(
    r"maximum context length|context (?:length|window|size) (?:is )?exceed"
    r"|exceeds? the (?:available |model'?s? )*context"
    r"|prompt is too long|input (?:is )?too long|input token count|reduce the length of",
    re.IGNORECASE,
)


def failure_of(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Classify an answer that is not 2xx. `headers` has lower-case names."""
    complaint = read_complaint(body)
    how = _class_of(status, complaint)
    wait = retry_after_of(headers)
    text = complaint.message if how in {_INVALID, _CONTEXT, _BLOCKED} else ""
    return Failure(
        Fault(how.code, text or _sentence(status, complaint), _details(status, complaint)),
        status=status,
        retry=how.retry,
        fallback=how.fallback,
        retry_after=wait if wait is not None else complaint.retry_after,
        breaker=how.breaker,
        key=how.key,
    )


def failure_in_stream(error: Any) -> Failure:
    """Classify an error object that stands in an answer of status 200."""
    complaint = complaint_of(error)
    how = _class_of(complaint.status or 500, complaint)
    return Failure(
        Fault(how.code, complaint.message or "The provider reported an error.", _details(None, complaint)),
        retry=how.retry,
        fallback=how.fallback,
        retry_after=complaint.retry_after,
        breaker=how.breaker,
        key=how.key,
    )


def truncated() -> Failure:
    """Say that the answer ended without its terminal marker."""
    return _broken("upstream_truncated", "The provider's answer was cut off before its end.")


def unreadable(what: str) -> Failure:
    """Say that the answer is not what the wire allows."""
    return _broken("upstream_invalid", f"The provider's answer cannot be read: {what}")


def broken_generation(message: str) -> Failure:
    """Say that the provider itself gave the answer up."""
    return _broken("upstream_error", message)


def failure_of_transport(error: TransportError, *, answering: bool) -> Failure:
    """Say what a broken exchange means; `answering`: the answer had begun."""
    match error:
        case Unsendable() | Oversized():
            return Failure(Fault(error.code, error.message), fallback=True)
        case Broken() if answering:
            return truncated()
        case _:
            return _broken(error.code, error.message)


def _broken(code: str, message: str) -> Failure:
    return Failure(Fault(code, message), retry=True, fallback=True, breaker=True)


def _class_of(status: int, complaint: Complaint) -> _Class:
    for word in complaint.words:
        if word in _BY_WORD:
            return _BY_WORD[word]
    if status == 400 and _SPENT_TEXT.search(complaint.message):
        return _SPENT
    if status in {400, 413, 422, 500} and _CONTEXT_TEXT.search(complaint.message):
        return _CONTEXT
    if status == 403 and complaint.flagged:
        return _BLOCKED
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return _BROKEN if status >= 500 else _REFUSED


def _sentence(status: int, complaint: Complaint) -> str:
    if 300 <= status < 400:
        return f"The provider answered {status}, a redirect: its base_url is not the address of its API."
    said = f": {complaint.message}" if complaint.message else "."
    return f"The provider answered {status}{said}"


def _details(status: int | None, complaint: Complaint) -> dict[str, Any] | None:
    details: dict[str, Any] = {} if status is None else {"upstream_status": status}
    if complaint.words:
        details["upstream_code"] = redacted(complaint.words[0])
    if complaint.param:
        details["param"] = redacted(complaint.param)
    return details or None
