"""OpenAI's Responses API as we answer it: the response object, its usage, its states."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from tertulia.kernel.clock import SECOND
from tertulia.turn.events import Ended, Started
from tertulia.turn.usage import Usage
from tertulia.wire.endings import failure_details, fault_of

Json = dict[str, Any]
State = Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]

PREFIX: Final = "resp_"
_DEFAULTS: Final[Json] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}
"""What a response repeats of its request, and what it says where the request said nothing."""

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_id(generation_id: str) -> str:
    """Give the id of the response that a generation is on this face."""
    return PREFIX + generation_id


def echoed(request: Mapping[str, Any]) -> Json:
    """Give what a response repeats of a request's fields."""
    return {name: request[name] for name in _DEFAULTS if request.get(name) is not None}


def usage_block(usage: Usage) -> Json:
    """Write usage as this API does."""
    block: Json = {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
    return {**block, "estimated": True} if usage.estimated else block


def state_of(ended: Ended | None) -> State:
    """Give the status: an answer that was cut by its length or a filter is incomplete."""
    if ended is None:
        return "in_progress"
    if ended.outcome == "completed":
        return "incomplete" if _incomplete(ended) else "completed"
    return "cancelled" if ended.outcome == "cancelled" else "failed"


def response_object(
    started: Started, output: Iterable[Json], ended: Ended | None = None, echo: Mapping[str, Any] | None = None
) -> Json:
    """Write a response as it is now, with our ids beside the API's fields."""
    state = state_of(ended)
    response: Json = {
        "id": response_id(started.generation_id),
        "object": "response",
        "created_at": started.created_at // SECOND,
        "status": state,
        "completed_at": ended.ended_at // SECOND if ended is not None and state == "completed" else None,
        "error": _error(started, ended) if ended is not None and state == "failed" else None,
        "incomplete_details": {"reason": _incomplete(ended)} if ended is not None and state == "incomplete" else None,
        "model": started.model,
        "output": list(output),
        **_DEFAULTS,
        **(echo or {}),
        "usage": usage_block(ended.usage) if ended is not None and ended.usage is not None else None,
        "generation_id": started.generation_id,
    }
    for name in ("conversation_id", "message_id", "user_message_id"):
        value = getattr(started, name)
        if value is not None:
            response[name] = value
    return response


def _incomplete(ended: Ended) -> str | None:
    finish = next((finish for finish in ended.finishes if finish.choice == 0), None)
    return _INCOMPLETE.get(finish.reason) if finish is not None else None


def _error(started: Started, ended: Ended) -> Json:
    fault = fault_of(ended)
    return {"code": fault.code, "message": fault.message, "details": failure_details(started, ended)}
