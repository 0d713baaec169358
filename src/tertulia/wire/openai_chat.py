"""OpenAI's Chat Completions as we answer it: the whole answer, its usage, its errors.

Beside OpenAI's own fields stand their camelCase twins, and the fields that hosts have agreed upon: `reasoning_content`,
`reasoning_details` (OpenRouter), `images` (HTTP contract, OpenAI face).
"""

import copy
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType, field

from tertulia.turn.content import ToolCall
from tertulia.turn.fold import Choice
from tertulia.turn.usage import Usage
from tertulia.wire.citations import annotations
from tertulia.wire.replay import Piece, pack, piece_of

Json = dict[str, Any]
_IN_MESSAGE: Final = frozenset({"reasoning_details", "extra_content", "audio"})
_JOINED: Final = frozenset({"text", "summary", "data", "transcript"})
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class PromptDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the tokens of a prompt consist of."""

    cached_tokens: int
    cache_write_tokens: int = 0


class CompletionDetails(msgspec.Struct, frozen=True):
    """What the tokens of an answer consist of."""

    reasoning_tokens: int


class ChatUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens, under both spellings; `estimated` where the provider did not say."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails
    prompt_tokens_twin: int = field(name="promptTokens")
    completion_tokens_twin: int = field(name="completionTokens")
    total_tokens_twin: int = field(name="totalTokens")
    estimated: bool = False


class AnswerChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One choice."""

    index: int
    message: Json
    logprobs: Json | None
    finish_reason: FinishReason
    finish_reason_twin: FinishReason = field(name="finishReason")


class Completion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole answer; the ids of ours that the contract names are beside OpenAI's fields."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: ChatUsage | UnsetType = UNSET
    generation_id: str
    conversation_id: str | None = None
    message_id: str | None = None
    user_message_id: str | None = None
    message_ids: tuple[str, ...] = ()
    status: str | UnsetType = UNSET


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """What is in `error` of a refusal, and of the frame that ends a failed stream."""

    message: str
    type: str
    param: str | None
    code: str
    details: Mapping[str, Any] | UnsetType = UNSET
    request_id: str


def usage_block(usage: Usage) -> ChatUsage:
    """Write usage as OpenAI does."""
    return ChatUsage(
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        total_tokens=usage.total,
        prompt_tokens_details=PromptDetails(usage.cached, usage.cache_write),
        completion_tokens_details=CompletionDetails(usage.reasoning),
        prompt_tokens_twin=usage.prompt,
        completion_tokens_twin=usage.completion,
        total_tokens_twin=usage.total,
        estimated=usage.estimated,
    )


def answer_message(choice: Choice, kept: Json) -> Json:
    """Write a whole answer as a message; its content is null where something else is there instead of text.

    `kept` are the fields that must be replayed (`kept_fields`), as far as they belong into the message.
    """
    instead = choice.tool_calls or choice.refusal or choice.images
    message: Json = {
        "role": "assistant",
        "content": None if instead and not choice.text else choice.text,
        "refusal": choice.refusal or None,
    }
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [tool_call(call) for call in choice.tool_calls]
    if choice.images:
        message["images"] = [image(url) for url in choice.images]
    if notes := [note for citation in choice.citations for note in annotations(citation)]:
        message["annotations"] = notes
    if others := [citation.data for citation in choice.citations if not annotations(citation)]:
        message["citations"] = others
    return message | kept


def tool_call(call: ToolCall) -> Json:
    """Write a whole tool call; a custom tool's input is text, not JSON."""
    if call.type == "custom":
        custom = {"name": call.function.name, "input": call.function.arguments}
        return {"id": call.id, "type": "custom", "custom": custom}
    return call.to_wire() | (native_fields(call.opaque or {}) or {})


def image(url: str) -> Json:
    """Write an image that a model made."""
    return {"type": "image_url", "image_url": {"url": url}}


def native_fields(opaque: Json) -> Json | None:
    """Give what an OpenAI-compatible host said beyond OpenAI's fields; None for what is of another wire."""
    return opaque["data"] if opaque.get("wire") == "openai" and isinstance(opaque.get("data"), dict) else None


def split_native(fields: Json) -> tuple[Json, Json]:
    """Tell what belongs into the message (or delta) from what stands beside the choices, as Perplexity's sources do."""
    inner = {name: value for name, value in fields.items() if name in _IN_MESSAGE}
    return inner, {name: value for name, value in fields.items() if name not in _IN_MESSAGE}


def packed_detail(piece: Piece, index: int) -> Json:
    """Write what must be replayed to another wire as an entry of `reasoning_details`."""
    entry: Json = {"type": "reasoning.encrypted", "data": pack(piece), "index": index}
    return entry if piece.call is None else {**entry, "id": piece.call}


def kept_fields(choice: Choice) -> Json:
    """Give all that a choice must have replayed as fields of its message; pieces that came apart are put together."""
    fields: Json = {}
    sealed: list[Piece] = []
    pieces = [piece_of(kept) for kept in choice.opaque]
    pieces += [Piece(call.opaque, call=call.id) for call in choice.tool_calls if call.opaque is not None]
    for piece in pieces:
        native = native_fields(piece.opaque)
        if native is None:
            sealed.append(piece)
        elif piece.call is None:
            _accumulate(fields, native)
    if sealed:
        details = fields.setdefault("reasoning_details", [])
        details += [packed_detail(piece, index) for index, piece in enumerate(sealed, len(details))]
    return fields


def _accumulate(whole: Json, piece: Json) -> None:
    """Add a piece as OpenAI's clients do: texts are joined, list entries found by their `index`."""
    for name, value in piece.items():
        known = whole.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            _accumulate(cast("Json", known), cast("Json", value))
        elif isinstance(known, list) and isinstance(value, list):
            _accumulate_list(cast("list[Any]", known), cast("list[Any]", value))
        elif isinstance(known, str) and isinstance(value, str) and name in _JOINED:
            whole[name] = known + value
        elif value is not None:
            whole[name] = copy.deepcopy(value)


def _accumulate_list(whole: list[Any], pieces: list[Any]) -> None:
    piece: Any
    for piece in pieces:
        key = entry_key(piece)
        same: Any = next((known for known in whole if key is not None and entry_key(known) == key), None)
        if same is None:
            whole.append(copy.deepcopy(piece))
        else:
            _accumulate(same, piece)


def entry_key(entry: Any) -> tuple[Any, int] | None:
    """Tell entries of a list apart that may come in fragments: a host numbers each type by itself."""
    if not isinstance(entry, dict):
        return None
    fields = cast("Json", entry)
    index = fields.get("index")
    return (fields.get("type"), index) if isinstance(index, int) else None
