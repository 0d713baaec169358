"""Anthropic's Messages as we answer them: usage, reasons, errors, the whole message."""

from collections.abc import Iterable
from typing import Any, Final, Literal, cast

import msgspec

from tertulia.turn.events import Ended, Started
from tertulia.turn.usage import Usage
from tertulia.wire.endings import failure_details, fault_of
from tertulia.wire.statuses import anthropic_type, status_of

Json = dict[str, Any]

StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"
]

_MEANING: Final[dict[str, tuple[StopReason, ...]]] = {
    "stop": ("end_turn", "stop_sequence", "pause_turn"),
    "length": ("max_tokens", "model_context_window_exceeded"),
    "tool_calls": ("tool_use",),
    "content_filter": ("refusal",),
    "error": ("end_turn",),
}
"""The words for each reason; the first is the plain one."""


def usage_block(usage: Usage) -> Json:
    """Write usage: the prompt's tokens without those that were read from a cache or written to it."""
    block: Json = {
        "input_tokens": max(usage.prompt - usage.cached - usage.cache_write, 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }
    if usage.reasoning:
        block["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.estimated:
        block["estimated"] = True
    return block


def stop_of(ended: Ended, *, calls: bool) -> tuple[StopReason, str | None]:
    """Give `stop_reason` and `stop_sequence`: the provider's own word where it means what the reason says."""
    finish = next((finish for finish in ended.finishes if finish.choice == 0), None)
    if ended.outcome == "cancelled":
        return "end_turn", None
    if finish is None:
        return ("tool_use" if calls else "end_turn"), None
    words = _MEANING[finish.reason]
    native: StopReason | None = next((word for word in words if word == finish.native), None)
    if native is None and finish.stop_sequence is not None and finish.reason == "stop":
        native = "stop_sequence"
    word = native or words[0]
    return word, finish.stop_sequence if word == "stop_sequence" else None


def error_event(code: str, message: str, details: Json | None, request_id: str) -> Json:
    """Write an error as it stands in a stream, and as the body of a refusal."""
    error: Json = {"type": anthropic_type(status_of(code)), "message": message, "code": code}
    if details:
        error["details"] = details
    return {"type": "error", "error": error, "request_id": request_id}


def failure_event(started: Started | None, ended: Ended) -> Json:
    """Write the error that a generation ended with."""
    fault = fault_of(ended)
    if started is None:
        return error_event(fault.code, fault.message, fault.details, "")
    return error_event(fault.code, fault.message, failure_details(started, ended), started.request_id)


def message_head(started: Started) -> Json:
    """Write the message as it begins: without content, nothing counted yet, with our ids beside Anthropic's fields."""
    ids = {
        "conversation_id": started.conversation_id,
        "message_id": started.message_id,
        "user_message_id": started.user_message_id,
    }
    return {
        "id": f"msg_{started.generation_id}",
        "type": "message",
        "role": "assistant",
        "model": started.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_block(Usage()),
        "generation_id": started.generation_id,
        **{name: value for name, value in ids.items() if value is not None},
    }


def message_tail(ended: Ended, *, calls: bool) -> Json:
    """Write the `message_delta` that ends a message: reason, counts, and `status` where it was cancelled."""
    reason, sequence = stop_of(ended, calls=calls)
    tail: Json = {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": sequence},
        "usage": usage_block(ended.usage or Usage()),
    }
    return {**tail, "status": "cancelled"} if ended.outcome == "cancelled" else tail


def assemble(head: Json, steps: Iterable[Json]) -> Json:
    """Put a message together from its events, as Anthropic's clients do."""
    content: list[Json] = []
    message: Json = {**head, "content": content}
    inputs: dict[int, list[str]] = {}
    for step in steps:
        match step["type"]:
            case "content_block_start":
                begun: Json = step["content_block"]
                content.append({**begun})
            case "content_block_delta":
                index: int = step["index"]
                _add(content[index], step["delta"], inputs.setdefault(index, []))
            case "message_delta":
                message |= {**step["delta"], "usage": step["usage"]}
                message |= {"status": step["status"]} if "status" in step else {}
            case _:
                pass
    for at, pieces in inputs.items():
        if pieces:
            content[at]["input"] = _input("".join(pieces))
    return message


def _add(block: Json, delta: Json, pieces: list[str]) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        case _:
            pieces.append(delta["partial_json"])


def _input(text: str) -> Json:
    """Read a tool's input; what is cut off or no object is kept as text, under a name."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"arguments": text}
    return cast("Json", value) if isinstance(value, dict) else {"arguments": value}
