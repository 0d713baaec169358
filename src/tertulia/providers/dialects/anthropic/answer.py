"""Read an answer of this wire: a stream of named events, or a whole message.

A block that must be handed back unchanged (thinking with its signature, redacted thinking, a server's tool and its
result) is told whole as `opaque` when it ends, so that the next turn can replay it word for word.
"""

from typing import Any, Final

import msgspec

from tertulia.providers.dialects.reading import (
    Json,
    Place,
    count_of,
    dict_of,
    dicts_of,
    json_text,
    patient_json,
    storable,
    text_of,
    without_nul,
)
from tertulia.providers.failures import failure_in_stream, truncated, unreadable
from tertulia.providers.port import Finished, Said, UpstreamFault
from tertulia.turn.events import Citation, Finish, FinishReason, Opaque, Reasoning, Text, ToolCallDelta, UsageSeen
from tertulia.turn.usage import Usage

WIRE: Final = "anthropic"

_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Delta(msgspec.Struct, gc=False):
    """What an event adds to a block, or to the message."""

    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    citation: Json | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(msgspec.Struct, gc=False):
    """One event of the stream, or a whole message."""

    type: str = ""
    index: Place = 0
    delta: _Delta | None = None
    content_block: Json | None = None
    message: Json | None = None
    usage: Json | None = None
    error: Any = None
    content: list[Json] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


_decoder: Final = msgspec.json.Decoder(_Event)


class _Block:
    """A block that is being told: what it began as, and the pieces that must be whole at its end."""

    __slots__ = ("call", "input", "signature", "start", "thinking", "type")

    def __init__(self, start: Json, call: int) -> None:
        self.start = start
        self.type = text_of(start.get("type")) or ""
        self.call = call
        self.input: list[str] = []
        self.thinking: list[str] = []
        self.signature = ""


class _Answer:
    """The state of one answer, which both forms fill."""

    def __init__(self) -> None:
        self._open: dict[int, _Block] = {}
        self._calls = 0
        self._counts: Json = {}
        self._finish: Finish | None = None

    def begin(self, index: int, start: Json, out: list[Said]) -> None:
        """Take the beginning of a block."""
        block = self._open[index] = _Block(start, self._calls)
        match block.type:
            case "text":
                if text := text_of(start.get("text")):
                    out.append(Text(text, part=index))
                out.extend(Citation(storable(note), WIRE, part=index) for note in dicts_of(start.get("citations")))
            case "thinking":
                self._think(index, block, text_of(start.get("thinking")) or "", out)
                block.signature = text_of(start.get("signature")) or ""
            case "tool_use":
                self._calls += 1
                name, identity = text_of(start.get("name")), text_of(start.get("id"))
                out.append(ToolCallDelta(block.call, identity, name, part=index))
                if given := dict_of(start.get("input")):
                    self._argue(index, block, json_text(given), out)
            case _:
                pass

    def add(self, index: int, delta: _Delta, out: list[Said]) -> None:
        """Take more of a block."""
        match delta.type:
            case "text_delta":
                if delta.text:
                    out.append(Text(delta.text, 0, index))
            case "thinking_delta":
                self._think(index, self._block(index, "thinking"), delta.thinking, out)
            case "signature_delta":
                self._block(index, "thinking").signature = delta.signature
            case "input_json_delta":
                self._argue(index, self._block(index, "tool_use"), delta.partial_json, out)
            case "citations_delta" if delta.citation is not None:
                out.append(Citation(storable(delta.citation), WIRE, part=index))
            case _:
                pass

    def end(self, index: int, out: list[Said]) -> None:
        """Take the end of a block."""
        block = self._open.pop(index, None)
        match block.type if block is not None else "text":
            case "text":
                pass
            case "thinking" if block is not None:
                if block.signature:
                    kept = {"type": "thinking", "thinking": "".join(block.thinking), "signature": block.signature}
                    out.append(Reasoning("", part=index, opaque={"wire": WIRE, "data": kept}))
            case "redacted_thinking" if block is not None:
                out.append(Reasoning("", part=index, opaque={"wire": WIRE, "data": storable(block.start)}))
            case "tool_use" if block is not None:
                if not block.input:
                    out.append(ToolCallDelta(block.call, arguments="{}", part=index))
            case _ if block is not None:
                out.append(Opaque(storable(_with_input(block)), WIRE, part=index))
            case _:
                pass

    def end_all(self, out: list[Said]) -> None:
        """End what was left open."""
        for index in sorted(self._open):
            self.end(index, out)

    def count(self, fields: Json | None, out: list[Said]) -> None:
        """Take counts; what is given replaces what was given earlier, what is absent stays."""
        if not fields:
            return
        self._counts.update({name: value for name, value in fields.items() if value is not None})
        out.append(UsageSeen(_usage(self._counts)))

    def stop(self, reason: str | None, sequence: str | None) -> None:
        """Take the reason of the end."""
        if reason:
            self._finish = Finish(_REASONS.get(reason, "stop"), native=reason, stop_sequence=sequence)

    def flush(self, out: list[Said]) -> None:
        """Hold nothing back (see `Answer`)."""

    def how(self) -> Finished:
        """Give the reason of the end."""
        return Finished((self._finish or Finish("tool_calls" if self._calls else "stop"),))

    def _block(self, index: int, kind: str) -> _Block:
        """Find an open block; one whose beginning was left out begins now."""
        block = self._open.get(index)
        if block is None:
            block = self._open[index] = _Block({"type": kind}, self._calls)
        return block

    def _think(self, index: int, block: _Block, text: str, out: list[Said]) -> None:
        if text:
            block.thinking.append(text)
            out.append(Reasoning(text, 0, index))

    def _argue(self, index: int, block: _Block, piece: str, out: list[Said]) -> None:
        if not piece:
            return
        block.input.append(piece)
        if block.type == "tool_use":
            out.append(ToolCallDelta(block.call, arguments=piece, part=index))


class MessageStream(_Answer):
    """A stream of named events, ended by `message_stop`."""

    def take(self, event: bytes, data: bytes, out: list[Said]) -> bool:
        """Read one event (see `Answer`)."""
        told = _read_event(data)
        match told.type:
            case "content_block_delta":
                if told.delta is not None:
                    self.add(told.index, told.delta, out)
            case "content_block_start":
                self.begin(told.index, told.content_block or {}, out)
            case "content_block_stop":
                self.end(told.index, out)
            case "message_start":
                self.count(dict_of((told.message or {}).get("usage")), out)
            case "message_delta":
                delta = told.delta or _Delta()
                self.stop(delta.stop_reason, delta.stop_sequence)
                self.count(told.usage, out)
            case "message_stop":
                self.end_all(out)
                return True
            case _:
                if told.error or told.type == "error":
                    raise UpstreamFault(failure_in_stream({"error": told.error}))
        return False

    def finished(self, *, terminal: bool) -> Finished:
        """Give how it ended (see `Answer`)."""
        if not terminal:
            raise UpstreamFault(truncated())
        return self.how()


class WholeMessage(_Answer):
    """A whole message."""

    def take(self, event: bytes, data: bytes, out: list[Said]) -> bool:
        """Read the message (see `Answer`)."""
        message = _read_event(data)
        if message.error:
            raise UpstreamFault(failure_in_stream({"error": message.error}))
        if message.content is None:
            raise UpstreamFault(unreadable("it has no content."))
        for index, block in enumerate(message.content):
            self.begin(index, block, out)
            self.end(index, out)
        self.stop(message.stop_reason, message.stop_sequence)
        self.count(message.usage, out)
        return True

    def finished(self, *, terminal: bool) -> Finished:
        """Give how it ended (see `Answer`)."""
        return self.how()


def _read_event(data: bytes) -> _Event:
    try:
        return _decoder.decode(data)
    except (ValueError, RecursionError):
        fields = patient_json(data)
    if not isinstance(fields, dict):
        raise UpstreamFault(unreadable("an event is not a JSON object."))
    try:
        return msgspec.convert(_clean(dict_of(fields)), _Event)
    except msgspec.ValidationError:
        raise UpstreamFault(unreadable("an event has fields of the wrong type.")) from None


def _clean(fields: Json) -> Json:
    """Drop nulls, which some imitations send in place of absent texts."""
    return {
        name: _clean(dict_of(value)) if isinstance(value, dict) else value
        for name, value in fields.items()
        if value is not None
    }


def _with_input(block: _Block) -> Json:
    if not block.input:
        return block.start
    text = "".join(block.input)
    try:
        given = msgspec.json.decode(without_nul(text.encode()))
    except (ValueError, RecursionError):
        given = text
    return {**block.start, "input": given}


def _usage(fields: Json) -> Usage:
    read = count_of(fields, "cache_read_input_tokens") or 0
    written = count_of(fields, "cache_creation_input_tokens") or 0
    details = dict_of(fields.get("output_tokens_details"))
    return Usage(
        prompt=(count_of(fields, "input_tokens") or 0) + read + written,
        completion=count_of(fields, "output_tokens") or 0,
        cached=read,
        cache_write=written,
        reasoning=count_of(details, "thinking_tokens", "reasoning_tokens") or 0,
    )
