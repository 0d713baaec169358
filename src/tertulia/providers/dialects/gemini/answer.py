"""Read an answer of this wire: chunks and whole bodies have the same shape.

A `thoughtSignature` belongs to the part that it stands on and must come back with it, so it is kept as that event's
`opaque`. Call ids that are absent are made from the call itself, so that reading the same bytes gives the same events.
"""

from typing import Any, Final

import msgspec
from msgspec import field

from tertulia.providers.dialects.reading import (
    Json,
    Place,
    count_of,
    dict_of,
    dicts_of,
    json_text,
    list_of,
    made_id,
    read_json,
    storable,
    text_of,
)
from tertulia.providers.failures import broken_generation, failure_in_stream, truncated, unreadable
from tertulia.providers.port import Finished, Said, UpstreamFault
from tertulia.turn.events import (
    Citation,
    Finish,
    FinishReason,
    Image,
    Opaque,
    Reasoning,
    Text,
    ToolCallDelta,
    UsageSeen,
)
from tertulia.turn.usage import Usage

WIRE: Final = "gemini"

_REASONS: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "OTHER": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "LANGUAGE": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "RECITATION": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}


class _Part(msgspec.Struct, gc=False, rename="camel"):
    """A part of the content."""

    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: Json | None = None
    inline_data: Json | None = None
    executable_code: Json | None = None
    code_execution_result: Json | None = None
    file_data: Json | None = None


class _Content(msgspec.Struct, gc=False):
    """The content of a candidate."""

    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    """One choice, or a piece of it."""

    index: Place = 0
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    logprobs_result: Json | None = None
    grounding_metadata: Json | None = None
    citation_metadata: Json | None = None
    url_context_metadata: Json | None = None


class _Chunk(msgspec.Struct, gc=False):
    """A chunk, or a whole answer."""

    candidates: list[_Candidate] | None = None
    usage: Json | None = field(default=None, name="usageMetadata")
    feedback: Json | None = field(default=None, name="promptFeedback")
    error: Any = None


_decoder: Final = msgspec.json.Decoder(_Chunk)


class GeminiAnswer:
    """The state of one answer: a stream ends with a reason for every candidate and the end of the body."""

    def __init__(self) -> None:
        self._finishes: dict[int, Finish] = {}
        self._spoken: set[int] = {0}
        self._calls: dict[int, int] = {}
        self._parts: dict[int, tuple[str, int]] = {}
        self._notes: dict[tuple[int, str], Json] = {}
        self._usage: Usage | None = None
        self._told: Usage | None = None

    def take(self, event: bytes, data: bytes, out: list[Said]) -> bool:
        """Read one chunk, or a whole body (see `Answer`)."""
        del event
        chunk = _read_chunk(data)
        if chunk.error:
            raise UpstreamFault(failure_in_stream({"error": chunk.error}))
        for candidate in chunk.candidates or ():
            self._candidate(candidate, out)
        if blocked := text_of((chunk.feedback or {}).get("blockReason")):
            self._finishes.setdefault(0, Finish("content_filter", native=blocked))
        if chunk.usage:
            self._usage = _usage(chunk.usage)
        if self._finishes:
            self.flush(out)
        return False

    def flush(self, out: list[Said]) -> None:
        """Give the last count: every chunk repeats it, so only the last is told (see `Answer`)."""
        if self._usage is not None and self._usage != self._told:
            self._told = self._usage
            out.append(UsageSeen(self._usage))

    def finished(self, *, terminal: bool) -> Finished:
        """Give how the candidates ended (see `Answer`)."""
        del terminal
        if not self._spoken <= self._finishes.keys():
            raise UpstreamFault(truncated())
        return Finished(tuple(self._finishes[index] for index in sorted(self._finishes)))

    def _candidate(self, candidate: _Candidate, out: list[Said]) -> None:
        index = candidate.index
        self._spoken.add(index)
        for part in (candidate.content.parts if candidate.content else None) or ():
            self._part(part, index, out)
        if candidate.logprobs_result:
            out.append(Text("", index, self._place(index, "text"), storable(candidate.logprobs_result)))
        for kind in ("grounding_metadata", "citation_metadata", "url_context_metadata"):
            self._note(kind, getattr(candidate, kind), index, out)
        if candidate.finish_reason:
            self._finish(candidate, candidate.finish_reason)

    def _part(self, part: _Part, choice: int, out: list[Said]) -> None:
        kept = {"wire": WIRE, "data": {"thoughtSignature": part.thought_signature}} if part.thought_signature else None
        if part.function_call is not None:
            out.append(self._call(part.function_call, choice, kept))
        elif part.inline_data is not None:
            data = part.inline_data
            kind = text_of(data.get("mimeType")) or "image/png"
            url = f"data:{kind};base64,{text_of(data.get('data')) or ''}"
            out.append(Image(url, choice, self._place(choice, "image", new=True), kept))
        elif (code := part.executable_code or part.code_execution_result or part.file_data) is not None:
            name = next(
                n for n in ("executable_code", "code_execution_result", "file_data") if getattr(part, n) is code
            )
            data = storable({_camel(name): code})
            out.append(Opaque(data, WIRE, choice, self._place(choice, "code", new=True)))
        elif part.thought:
            out.append(Reasoning(part.text or "", choice, self._place(choice, "thought"), kept))
        elif part.text or kept:
            out.append(Text(part.text or "", choice, self._place(choice, "text"), None, kept))

    def _call(self, call: Json, choice: int, kept: Json | None) -> ToolCallDelta:
        place = self._calls.get(choice, 0)
        self._calls[choice] = place + 1
        name = text_of(call.get("name")) or ""
        arguments = json_text(call.get("args") or {})
        identity = text_of(call.get("id")) or made_id(choice, place, name, arguments)
        return ToolCallDelta(
            place, identity, name, arguments, choice, self._place(choice, "call", new=True), opaque=kept
        )

    def _place(self, choice: int, kind: str, *, new: bool = False) -> int:
        """Give the number of the part that goes on, or of a new one where the kind changes."""
        last, number = self._parts.get(choice, ("", -1))
        if new or last != kind:
            self._parts[choice] = (kind, number + 1)
            return number + 1
        return number

    def _note(self, kind: str, data: Json | None, choice: int, out: list[Said]) -> None:
        """Give sources when they are new; later chunks may repeat them."""
        if not data or self._notes.get((choice, kind)) == data:
            return
        self._notes[choice, kind] = data
        out.append(Citation(storable({_camel(kind): data}), WIRE, choice, self._place(choice, "text")))

    def _finish(self, candidate: _Candidate, word: str) -> None:
        reason = _REASONS.get(word, "stop")
        if reason == "error":
            raise UpstreamFault(broken_generation(f"The provider gave the answer up ({word[:100]})."))
        if reason == "stop" and self._calls.get(candidate.index):
            reason = "tool_calls"
        self._finishes[candidate.index] = Finish(reason, candidate.index, word)


def _read_chunk(data: bytes) -> _Chunk:
    try:
        return _decoder.decode(data)
    except (ValueError, RecursionError):
        value = read_json(data)
    if isinstance(value, list):  # what a stream without `alt=sse` is; whole, it is one list of chunks
        return _joined(list_of(value))
    try:
        return msgspec.convert(value, _Chunk, strict=False)
    except msgspec.ValidationError:
        raise UpstreamFault(unreadable("a chunk has fields of the wrong type.")) from None


def _joined(values: list[Any]) -> _Chunk:
    """Read a list of chunks as one."""
    fields = [dict_of(value) for value in values]
    whole: Json = {"candidates": [item for chunk in fields for item in dicts_of(chunk.get("candidates"))]}
    for name in ("usageMetadata", "promptFeedback", "error"):
        whole[name] = next((chunk[name] for chunk in reversed(fields) if name in chunk), None)
    try:
        return msgspec.convert(whole, _Chunk, strict=False)
    except msgspec.ValidationError:
        raise UpstreamFault(unreadable("a chunk has fields of the wrong type.")) from None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _usage(fields: Json) -> Usage:
    thinking = count_of(fields, "thoughtsTokenCount") or 0
    return Usage(
        prompt=(count_of(fields, "promptTokenCount") or 0) + (count_of(fields, "toolUsePromptTokenCount") or 0),
        completion=(count_of(fields, "candidatesTokenCount") or 0) + thinking,
        cached=count_of(fields, "cachedContentTokenCount") or 0,
        reasoning=thinking,
    )
