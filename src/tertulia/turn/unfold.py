"""The events that a folded choice could have come from: how a whole answer is told to who expects pieces."""

from collections.abc import Iterator
from typing import Any, cast

from tertulia.turn.events import Delta, Image, Opaque, Reasoning, Refusal, Text, ToolCallDelta
from tertulia.turn.fold import Choice


def unfold(choice: Choice, index: int = 0) -> Iterator[Delta]:
    """Give events whose fold is `choice`: thinking, what must be replayed, text and sources, refusal, images, calls.

    Where an answer had several parts of one kind, they come as one, with the part number of the first.
    """
    yield from _thought(choice, index)
    yield from _spoken(choice, index)
    for n, call in enumerate(choice.tool_calls):
        function = call.function
        yield ToolCallDelta(n, call.id, function.name, function.arguments, index, kind=call.type, opaque=call.opaque)


def _thought(choice: Choice, index: int) -> Iterator[Delta]:
    """Give the thinking, and what must be replayed after it; signed blocks of thinking keep their own texts."""
    texts = [_signed_text(kept) for kept in choice.opaque]
    apart = bool(choice.reasoning) and "".join(texts) == choice.reasoning
    if choice.reasoning and not apart:
        yield Reasoning(choice.reasoning, index, choice.opaque[0].get("part", 0) if choice.opaque else 0)
    for text, kept in zip(texts, choice.opaque, strict=True):
        if apart and text:
            yield Reasoning(text, index, kept.get("part", 0))
        yield _opaque(dict(kept), index)


def _signed_text(kept: dict[str, Any]) -> str:
    """Give the text of a block of thinking that is kept whole with its signature (Anthropic's)."""
    data = kept.get("data")
    text: Any = cast("dict[str, Any]", data).get("thinking") if isinstance(data, dict) else None
    return text if isinstance(text, str) else ""


def _opaque(kept: dict[str, Any], index: int) -> Delta:
    part = kept.pop("part", 0)
    if kept.keys() == {"wire", "data"}:
        return Opaque(kept["data"], kept["wire"], index, part)
    return Reasoning("", index, part, kept)


def _spoken(choice: Choice, index: int) -> Iterator[Delta]:
    logprobs: list[Any] = list(choice.logprobs)
    if choice.text or logprobs:
        part = choice.citations[0].part if choice.citations else 0
        yield Text(choice.text, index, part, logprobs.pop(0) if logprobs else None)
    for piece in logprobs:
        yield Text("", index, 0, piece)
    yield from choice.citations
    if choice.refusal:
        yield Refusal(choice.refusal, index)
    for url in choice.images:
        yield Image(url, index)
