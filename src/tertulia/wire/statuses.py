"""The status of each error code (HTTP contract, Errors), and the types that the dialects derive from it.

The one table: `asgi.problem` looks raised errors up in it, the dialects what a generation ended with, which is a code.
"""

from typing import Final

_BY_STATUS: Final[dict[int, tuple[str, ...]]] = {
    400: (
        "malformed_json",
        "invalid",
        "invalid_event_id",
        "unknown_tool",
        "unsupported_parameter",
        "context_length_exceeded",
        "content_blocked",
        "provider_not_configured",
    ),
    401: ("missing_credential", "invalid_credential", "expired_credential"),
    402: ("insufficient_credits",),
    403: ("forbidden", "csrf", "model_not_allowed", "plan_forbids", "content_held"),
    404: ("not_found", "model_not_found", "generation_expired", "nothing_live"),
    405: ("method_not_allowed",),
    408: ("request_timeout",),
    409: (
        "version_conflict",
        "turn_in_progress",
        "character_mismatch",
        "idempotency_in_progress",
        "idempotency_unknown",
        "name_taken",
        "limit_reached",
        "legal_hold",
        "not_running",
    ),
    410: ("link_used",),
    413: ("body_too_large", "attachment_too_large"),
    414: ("uri_too_long",),
    415: ("unsupported_media_type",),
    421: ("host_not_allowed",),
    422: ("idempotency_key_reused", "missing_character_data"),
    429: ("rate_limited", "concurrency_limited", "quota_exceeded", "queue_full"),
    431: ("headers_too_large",),
    500: ("internal",),
    502: ("upstream_error", "upstream_truncated", "upstream_invalid", "interrupted"),
    503: ("overloaded", "provider_unavailable", "storage_unavailable", "draining"),
    504: ("upstream_timeout",),
}

STATUS: Final = {code: status for status, codes in _BY_STATUS.items() for code in codes}
"""Every code of the contract. Statuses are as the OpenAI and Anthropic faces give them; `invalid` is 422 elsewhere."""

_OPENAI: Final = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}

_ANTHROPIC: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def status_of(code: str) -> int:
    """Give the status of a code; 500 for one that the contract does not have."""
    return STATUS.get(code, 500)


def openai_type(status: int) -> str:
    """Give `error.type` of the OpenAI and Responses faces."""
    return _OPENAI.get(status) or ("server_error" if status >= 500 else "invalid_request_error")


def anthropic_type(status: int) -> str:
    """Give `error.type` of the Anthropic face."""
    return _ANTHROPIC.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
