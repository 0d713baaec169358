"""OpenAI's deltas: each piece of an answer as the object that stands in `delta` of a chunk.

Clients put deltas together by rules of their own: strings are joined, entries of lists are found by their `index`. So
what may come twice upstream (the id and name of a tool call) is written once, and list entries are numbered.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tertulia.turn.events import Citation, Delta, Image, Opaque, Reasoning, Refusal, Text, ToolCallDelta
from tertulia.wire.citations import annotations
from tertulia.wire.openai_chat import Json, entry_key, image, native_fields, packed_detail, split_native
from tertulia.wire.replay import Piece

encode_json: Final = msgspec.json.Encoder().encode


class _Call:
    """What has been written of one tool call."""

    __slots__ = ("arguments", "id", "kind", "name")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.id = ""
        self.name = ""
        self.arguments = False


class _Choice:
    """What has been written of one choice: how many entries of each list, and its calls."""

    __slots__ = ("annotations", "calls", "citations", "details", "images", "places")

    def __init__(self) -> None:
        self.annotations = 0
        self.citations = 0
        self.details = 0
        self.images = 0
        self.calls: dict[int, _Call] = {}
        self.places: dict[tuple[Any, int], int] = {}


class Deltas:
    """The deltas of one log, in order."""

    __slots__ = ("_choices",)

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}

    def write(self, event: Delta) -> bytes:
        """Write one event as a JSON object; what stands beside the choices is `beside`'s."""
        match event:
            case Text():
                fields: Json = {"content": event.text}
            case Reasoning():
                fields = {"reasoning_content": event.text} if event.text or event.opaque is None else {}
            case ToolCallDelta():
                return encode_json(self._call(event))
            case Refusal():
                return encode_json({"refusal": event.text})
            case Image():
                fields = {"images": [{**image(event.url), "index": self._next(event.choice, "images")}]}
            case Citation():
                return encode_json(self._cite(event))
            case Opaque():
                opaque = {"wire": event.wire, "data": event.data}
                return encode_json(self._kept(event.choice, Piece(opaque, event.part)))
        if event.opaque is not None:
            fields |= self._kept(event.choice, Piece(event.opaque, event.part))
        return encode_json(fields)

    def closing(self, choice: int) -> Iterator[bytes]:
        """Write what a choice's tool calls still lack at its end: an id, or arguments at all (`{}`)."""
        for index, call in self._of(choice).calls.items():
            fields: Json = {}
            if not call.id:
                fields["id"] = call.id = f"call_{index}"
            if not call.arguments:
                fields |= _body(call.kind, arguments="{}")
                call.arguments = True
            if fields:
                yield encode_json({"tool_calls": [{"index": index, **fields}]})

    def choices(self) -> list[int]:
        """Name the choices that have numbered entries or calls."""
        return sorted(self._choices)

    def has_calls(self, choice: int) -> bool:
        """Tell whether a choice has called a tool."""
        return choice in self._choices and bool(self._choices[choice].calls)

    def _of(self, choice: int) -> _Choice:
        found = self._choices.get(choice)
        if found is None:
            found = self._choices[choice] = _Choice()
        return found

    def _next(self, choice: int, what: str) -> int:
        counts = self._of(choice)
        index: int = getattr(counts, what)
        setattr(counts, what, index + 1)
        return index

    def _call(self, event: ToolCallDelta) -> Json:
        calls = self._of(event.choice).calls
        call = calls.get(event.index)
        fields: Json = {"index": event.index}
        if call is None:
            call = calls[event.index] = _Call(event.kind)
            fields["type"] = event.kind
        if event.id and not call.id:
            fields["id"] = call.id = event.id
        name = None
        if event.name and not call.name:
            name = call.name = event.name
        call.arguments = call.arguments or bool(event.arguments)
        fields |= _body(call.kind, name=name, arguments=event.arguments)
        delta: Json = {"tool_calls": [fields]}
        if event.opaque is not None:
            native = native_fields(event.opaque)
            if native is None:
                delta |= self._kept(event.choice, Piece(event.opaque, call=call.id))
            else:
                fields |= native
        return delta

    def _cite(self, citation: Citation) -> Json:
        choice = citation.choice
        notes = [{**note, "index": self._next(choice, "annotations")} for note in annotations(citation)]
        return (
            {"annotations": notes}
            if notes
            else {"citations": [{**citation.data, "index": self._next(choice, "citations")}]}
        )

    def _kept(self, choice: int, piece: Piece) -> Json:
        native = native_fields(piece.opaque)
        if native is None:
            return {"reasoning_details": [packed_detail(piece, self._next(choice, "details"))]}
        fields, _ = split_native(native)
        if "reasoning_details" in fields:
            fields["reasoning_details"] = [self._numbered(choice, entry) for entry in fields["reasoning_details"]]
        return fields

    def _numbered(self, choice: int, entry: Json) -> Json:
        """Number an entry by its place in the whole list, by which clients put fragments together."""
        places, key = self._of(choice).places, entry_key(entry)
        place = places.get(key) if key is not None else None
        if place is None:
            place = self._next(choice, "details")
            if key is not None:
                places[key] = place
        return {**entry, "index": place}


def beside(event: Delta) -> Json:
    """Give what of an event stands beside the choices of an answer, not in a delta."""
    if isinstance(event, Opaque) and event.wire == "openai":
        return split_native(event.data)[1]
    return {}


def _body(kind: str, *, name: str | None = None, arguments: str) -> Json:
    if kind == "custom":
        return {"custom": {"input": arguments} if name is None else {"name": name, "input": arguments}}
    return {"function": {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}}


def more_fields(fields: Json) -> bytes:
    """Write fields to go behind others in an object: with a comma before, without braces."""
    return b"," + encode_json(fields)[1:-1] if fields else b""
