"""OpenAI's Chat Completions as we answer it: the whole answer, its usage, its errors.

Beside OpenAI's own fields stand their camelCase twins, and the fields that hosts have agreed upon: `reasoning_content`,
`reasoning_details` (OpenRouter), `images` (HTTP contract, OpenAI face).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType, field

from tertulia.turn.content import ToolCall
from tertulia.turn.events import Citation
from tertulia.turn.fold import Choice
from tertulia.turn.usage import Usage
from tertulia.wire.replay import Piece, pack, piece_of

Json = dict[str, Any]
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


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The message of one choice."""

    role: str = field(default_factory=lambda: "assistant")  # a factory's value is always written
    content: str | None
    refusal: str | None
    reasoning_content: str | UnsetType = UNSET
    reasoning_details: list[Json] | UnsetType = UNSET
    tool_calls: list[Json] | UnsetType = UNSET
    images: list[Json] | UnsetType = UNSET
    annotations: list[Json] | UnsetType = UNSET


class AnswerChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One choice."""

    index: int
    message: AnswerMessage
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


def answer_message(choice: Choice) -> AnswerMessage:
    """Write a whole answer as a message; its content is null where something else is there instead of text."""
    details = list(merged_details(choice))
    instead = choice.tool_calls or choice.refusal or choice.images
    return AnswerMessage(
        content=None if instead and not choice.text else choice.text,
        refusal=choice.refusal or None,
        reasoning_content=choice.reasoning or UNSET,
        reasoning_details=details or UNSET,
        tool_calls=[tool_call(call) for call in choice.tool_calls] or UNSET,
        images=[image(url) for url in choice.images] or UNSET,
        annotations=[annotation(citation) for citation in choice.citations] or UNSET,
    )


def tool_call(call: ToolCall) -> Json:
    """Write a whole tool call; a custom tool's input is text, not JSON."""
    if call.type == "custom":
        return {
            "id": call.id,
            "type": "custom",
            "custom": {"name": call.function.name, "input": call.function.arguments},
        }
    return call.to_wire()


def image(url: str) -> Json:
    """Write an image that a model made."""
    return {"type": "image_url", "image_url": {"url": url}}


def annotation(citation: Citation) -> Json:
    """Write a source as an annotation.

    A web page of another wire becomes a `url_citation` with an empty span, since other wires say what they cite and not
    where. What is no web page keeps its own form, under its own type.
    """
    data = citation.data
    if citation.wire == "openai":
        return data
    page: Json = data["web"] if isinstance(data.get("web"), dict) else data
    url = page.get("url") or page.get("uri")
    if not isinstance(url, str):
        kind = str(data.get("type") or citation.wire)
        return {"type": kind, kind: data}
    found: Json = {"url": url, "title": page.get("title") or url, "start_index": 0, "end_index": 0}
    if data.get("cited_text"):
        found["content"] = data["cited_text"]
    return {"type": "url_citation", "url_citation": found}


def is_native_detail(opaque: Mapping[str, Any]) -> bool:
    """Tell whether this is an entry of `reasoning_details` already."""
    kind = opaque.get("type")
    return isinstance(kind, str) and kind.startswith("reasoning.")


def detail(piece: Piece, index: int) -> Json:
    """Write what must be replayed as an entry of `reasoning_details`: as it is, or packed."""
    if piece.call is None and is_native_detail(piece.opaque):
        return {"index": index, **piece.opaque}
    entry: Json = {"type": "reasoning.encrypted", "data": pack(piece), "index": index}
    return entry if piece.call is None else {**entry, "id": piece.call}


def merged_details(choice: Choice) -> Iterable[Json]:
    """Give all that must be replayed as `reasoning_details`; fragments of one entry become one, as in a stream."""
    pieces = [piece_of(kept) for kept in choice.opaque]
    pieces += [Piece(call.opaque, call=call.id) for call in choice.tool_calls if call.opaque is not None]
    merged: dict[int, Json] = {}
    for piece in pieces:
        index = piece.opaque.get("index") if is_native_detail(piece.opaque) else None
        entry = detail(piece, index if isinstance(index, int) else max(merged, default=-1) + 1)
        known = merged.setdefault(entry["index"], entry)
        if known is not entry:
            _extend(known, entry)
    return merged.values()


def _extend(entry: Json, fragment: Json) -> None:
    for name, value in fragment.items():
        if isinstance(value, str) and name in {"text", "summary", "data", "signature"}:
            entry[name] = f"{entry.get(name) or ''}{value}"
        elif value is not None:
            entry[name] = value


def joined_logprobs(pieces: Iterable[Any]) -> Json | None:
    """Put the log probabilities of a stream together: the lists of each name, joined."""
    joined: dict[str, list[Any]] = {}
    for piece in pieces:
        for name, values in logprobs_block(piece).items():
            if isinstance(values, list):
                joined.setdefault(name, []).extend(cast("list[Any]", values))
    return {"content": None, "refusal": None, **joined} if joined else None


def logprobs_block(value: Any) -> Json:
    """Give log probabilities in OpenAI's form: an object, or a bare list of the content's."""
    return cast("Json", value) if isinstance(value, dict) else {"content": value, "refusal": None}
