"""Read an answer of this wire: a stream of chunks, or a whole body."""

from collections.abc import Iterable
from typing import Final

from tertulia.providers.dialects.openai.chunk import Call, Called, Choice, Chunk, Delta, read_chunk
from tertulia.providers.dialects.openai.usage import usage_of
from tertulia.providers.dialects.reading import Json, dict_of, list_of, patient_json, read_json, storable, text_of
from tertulia.providers.failures import broken_generation, failure_in_stream, truncated, unreadable
from tertulia.providers.port import Finished, Said, UpstreamFault
from tertulia.turn.events import (
    Citation,
    Finish,
    FinishReason,
    Image,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCallDelta,
    UsageSeen,
)
from tertulia.turn.usage import Usage

WIRE: Final = "openai"
_DONE: Final = b"[DONE]"

_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",
}


class _Calls:
    """The tool calls of one choice as far as they have come: what is known of each, by its index."""

    __slots__ = ("_begun", "_ids")

    def __init__(self) -> None:
        self._begun: dict[int, tuple[bool, bool]] = {}  # index -> (named, has arguments)
        self._ids: dict[str, int] = {}

    def fragment(self, call: Call, place: int | None, choice: int) -> ToolCallDelta:
        """Take a fragment that stands at `place` of a list; names are told once, also where a host repeats them."""
        custom = call.type == "custom" or call.custom is not None
        called = (call.custom if custom else call.function) or Called()
        index = call.index if call.index is not None else self._index(call, called) if place is None else place
        named, argued = self._begun.get(index, (False, False))
        arguments = (called.input if custom else called.arguments) or ""
        self._begun[index] = (named or bool(called.name), argued or bool(arguments) or custom)
        if call.id and call.id not in self._ids:
            self._ids[call.id] = index
        return ToolCallDelta(
            index=index,
            id=call.id or None if not named else None,
            name=called.name or None if not named else None,
            arguments=arguments,
            choice=choice,
            kind="custom" if custom else "function",
            opaque=_kept({"extra_content": call.extra_content}) if call.extra_content else None,
        )

    def without_arguments(self) -> list[int]:
        """Name the calls that came without any arguments: they mean an empty object."""
        return [index for index, (_, argued) in self._begun.items() if not argued]

    def __bool__(self) -> bool:
        return bool(self._begun)

    def _index(self, call: Call, called: Called) -> int:
        """Find the index of a lone fragment that names none: a known id, a new call, else the call that runs."""
        if call.id:
            return self._ids.get(call.id, len(self._begun))
        return len(self._begun) if called.name else max(len(self._begun) - 1, 0)


class ChatAnswer:
    """The state of one answer: a stream of chunks, ended by `[DONE]` or a reason for every choice; or a whole body."""

    def __init__(self, *, streamed: bool) -> None:
        self._streamed = streamed
        self._by_delta = False
        self._calls: dict[int, _Calls] = {}
        self._finishes: dict[int, Finish] = {}
        self._spoken: set[int] = {0}
        self._usage: Usage | None = None
        self._told: Usage | None = None
        self._sources: Json = {}

    def take(self, event: bytes, data: bytes, out: list[Said]) -> bool:
        """Read one chunk, or a whole body (see `Answer`)."""
        if data == _DONE:
            return True
        if event == b"error":
            raise UpstreamFault(failure_in_stream(patient_json(data)))
        chunk = read_chunk(data)
        if chunk.error:
            raise UpstreamFault(failure_in_stream({"error": chunk.error}))
        choices = chunk.choices
        if choices:
            for choice in choices:
                self._choice(choice, out)
        else:
            self._without_choices(chunk, data)
        if chunk.usage is not None or chunk.x_groq is not None:
            self._count(chunk)
        if self._usage is not self._told and (self._finishes or not choices):
            self.flush(out)
        if chunk.citations or chunk.search_results:
            self._cite(chunk, out)
        return False

    def flush(self, out: list[Said]) -> None:
        """Give the last count, if it has not been given: hosts that count in every chunk would double the log."""
        if self._usage is not None and self._usage is not self._told:
            self._told = self._usage
            out.append(UsageSeen(self._usage))

    def finished(self, *, terminal: bool) -> Finished:
        """Give how the choices ended; after the wire's own terminal, a choice without a reason just stopped.

        Raises `UpstreamFault` when neither has come.
        """
        if not terminal and not self._spoken <= self._finishes.keys():
            raise UpstreamFault(truncated())
        for index in self._spoken - self._finishes.keys():
            self._finishes[index] = Finish("tool_calls" if self._calls.get(index) else "stop", index)
        return Finished(tuple(self._finishes[index] for index in sorted(self._finishes)))

    def _choice(self, choice: Choice, out: list[Said]) -> None:
        index = choice.index
        delta = choice.delta
        if delta is not None and self._streamed:
            self._by_delta = True
        elif not self._by_delta:  # a whole answer, or a host that streams messages; else it repeats what was streamed
            delta = choice.message or delta
        if index:
            self._spoken.add(index)
        if delta is not None:
            self._delta(delta, index, choice.logprobs, out)
        elif choice.logprobs is not None:
            out.append(Text("", index, logprobs=storable(choice.logprobs)))
        if choice.error:
            raise UpstreamFault(failure_in_stream({"error": choice.error}))
        if word := choice.finish_reason or choice.finish_twin:
            self._finish(choice, word, out)

    def _without_choices(self, chunk: Chunk, data: bytes) -> None:
        if chunk.choices is None and chunk.usage is None:
            _refuse_other_errors(data)
        if not self._streamed:
            raise UpstreamFault(unreadable("it has no choices."))

    def _delta(self, delta: Delta, index: int, logprobs: Json | None, out: list[Said]) -> None:
        if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
            out.append(_reasoning(delta, index))
        if logprobs is not None:
            out.append(Text(delta.content or "", index, 0, storable(logprobs)))
        elif delta.content:
            out.append(Text(delta.content, index))
        if delta.refusal:
            out.append(Refusal(delta.refusal, index))
        if delta.tool_calls is not None or delta.function_call is not None:
            self._tool_calls(delta, index, out)
        if delta.images is not None:
            out.extend(_images(delta.images, index))
        if delta.annotations is not None:
            out.extend(Citation(storable(note), WIRE, index) for note in delta.annotations)
        if delta.audio is not None:
            out.append(Opaque(storable({"audio": delta.audio}), WIRE, index))
        if delta.extra_content is not None:
            out.append(Opaque(storable({"extra_content": delta.extra_content}), WIRE, index))

    def _tool_calls(self, delta: Delta, choice: int, out: list[Said]) -> None:
        calls = self._calls.setdefault(choice, _Calls())
        if delta.function_call is not None:
            out.append(calls.fragment(Call(index=0, function=delta.function_call), 0, choice))
        fragments = delta.tool_calls or ()
        alone = self._streamed and len(fragments) == 1
        for place, call in enumerate(fragments):
            out.append(calls.fragment(call, None if alone else place, choice))

    def _finish(self, choice: Choice, word: str, out: list[Said]) -> None:
        index = choice.index
        calls = self._calls.get(index)
        reason = _REASONS.get(word.lower(), "stop")
        if reason == "error":
            raise UpstreamFault(broken_generation(f"The provider gave the answer up ({word[:100]})."))
        if calls and index not in self._finishes:
            out.extend(ToolCallDelta(empty, arguments="{}", choice=index) for empty in calls.without_arguments())
        if calls and reason == "stop":
            reason = "tool_calls"
        stopped_by = choice.stop_reason if isinstance(choice.stop_reason, str) else text_of(choice.matched_stop)
        self._finishes[index] = Finish(reason, index, choice.native_finish_reason or word, stopped_by)

    def _count(self, chunk: Chunk) -> None:
        groq = chunk.x_groq or {}
        if error := groq.get("error"):
            raise UpstreamFault(failure_in_stream({"error": error}))
        usage = usage_of(chunk.usage or dict_of(groq.get("usage")))
        if usage is not None and usage != self._usage:
            self._usage = usage

    def _cite(self, chunk: Chunk, out: list[Said]) -> None:
        """Give Perplexity's sources, which every chunk repeats, when they are new."""
        sources: Json = {"citations": chunk.citations, "search_results": chunk.search_results}
        sources = {name: value for name, value in sources.items() if value}
        if sources != self._sources:
            self._sources = sources
            out.append(Opaque(storable(sources), WIRE))


def _reasoning(delta: Delta, choice: int) -> Reasoning:
    text = delta.reasoning_content or delta.reasoning
    if text is None and delta.reasoning_details:
        text = "".join(text_of(item.get("text") or item.get("summary")) or "" for item in delta.reasoning_details)
    details = delta.reasoning_details
    return Reasoning(text or "", choice, opaque=_kept({"reasoning_details": details}) if details else None)


def _images(images: list[Json], choice: int) -> Iterable[Image]:
    for image in images:
        place = image.get("image_url")
        url = place if isinstance(place, str) else text_of(dict_of(place).get("url"))
        if url:
            yield Image(url, choice)


def _kept(data: Json) -> Json:
    return {"wire": WIRE, "data": storable(data)}


def _refuse_other_errors(data: bytes) -> None:
    """Recognise an error in a shape of its own: neither choices nor usage, but a message or a detail."""
    value = read_json(data)
    fields = dict_of(next(iter(list_of(value)), None) if isinstance(value, list) else value)
    if (
        fields.get("object") == "error"
        or fields.get("type") == "error"
        or fields.keys() & {"error", "detail", "message"}
    ):
        raise UpstreamFault(failure_in_stream(fields))
    if not fields:
        raise UpstreamFault(unreadable("a chunk is not a JSON object."))
