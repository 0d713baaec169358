"""Deltas as the events of the output items of the Responses API."""

from typing import Any, Final, cast, final

from tertulia.turn.events import Citation, Delta, Image, Opaque, Reasoning, Refusal, Text, ToolCallDelta
from tertulia.wire.citations import response_annotations
from tertulia.wire.contiguous import Contiguous
from tertulia.wire.logprobs import logprobs_block
from tertulia.wire.replay import Piece, pack

Json = dict[str, Any]

_PREFIXES: Final = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "image_generation_call": "ig",
}
_PARTS: Final[dict[str, tuple[str, str, str]]] = {
    "output_text": ("text", "response.output_text", "response.content_part"),
    "refusal": ("refusal", "response.refusal", "response.content_part"),
    "summary_text": ("text", "response.reasoning_summary_text", "response.reasoning_summary_part"),
}
"""Of each kind of part: the field with its text, and how the events of its text and of itself are named."""

_CALLS: Final = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}


class _Item:
    """The open item as far as it has come, its open part, and the pieces of text that are joined at the end."""

    __slots__ = ("fields", "key", "part", "part_key", "pieces", "sealed")

    def __init__(self, key: tuple[str, int], fields: Json) -> None:
        self.key = key
        self.fields = fields
        self.part: Json | None = None
        self.part_key: tuple[str, int] | None = None
        self.pieces: list[str] = []
        self.sealed: str | None = None

    @property
    def parts(self) -> list[Json]:
        """Its parts that are whole."""
        return self.fields["summary" if self.fields["type"] == "reasoning" else "content"]


@final
class Items:
    """Tells deltas as events, without their `sequence_number`: one item open at a time, numbered as they begin.

    Thinking is told as a reasoning summary, which is what clients show. What must be replayed to a provider is the
    `encrypted_content` of the reasoning that it belongs to, or of a reasoning item of its own after the open one.
    `output` are the items that are whole.
    """

    __slots__ = ("_called", "_held", "_item", "_name", "_ordered", "output")

    def __init__(self, name: str) -> None:
        self._name = name
        self._ordered = Contiguous()
        self._item: _Item | None = None
        self._held: list[str] = []
        self._called: set[int] = set()
        self.output: list[Json] = []

    @property
    def empty(self) -> bool:
        """Whether nothing has been told."""
        return self._item is None and not self.output

    def add(self, delta: Delta) -> list[Json]:
        """Take one delta of the only choice."""
        return [step for ready in self._ordered.add(delta) for step in self._tell(ready)]

    def now(self) -> list[Json]:
        """Give the items as they are, the open one too."""
        item = self._item
        if item is None:
            return list(self.output)
        fields = _copy(item.fields)
        text = "".join(item.pieces)
        if item.part is not None:
            field = _PARTS[item.part["type"]][0]
            fields["summary" if fields["type"] == "reasoning" else "content"] = [
                *item.parts,
                {**item.part, field: text},
            ]
        elif fields["type"] in _CALLS:
            fields[_CALLS[fields["type"]][0]] = text
        return [*self.output, fields]

    def more_text(self, delta: Text) -> Json | None:
        """Take a plain piece of text that goes on with the open part; None where it does not, and nothing is taken."""
        item = self._item
        if item is None or item.part_key != ("output_text", delta.part):
            return None
        return self._more(item, delta.text)

    def close(self, *, whole: bool) -> list[Json]:
        """End what is open; `whole` tells whether the answer came to its end."""
        steps = [step for ready in self._ordered.close() for step in self._tell(ready)]
        return steps + self._end("completed" if whole else "incomplete")

    def _tell(self, delta: Delta) -> list[Json]:  # noqa: PLR0911 - one arm for each kind of a closed set
        match delta:
            case Text():
                return self._text(delta) + self._keep(delta.opaque, delta.part)
            case Refusal():
                item, steps = self._part("message", "refusal", delta.part)
                return [*steps, self._more(item, delta.text)]
            case Reasoning() if not delta.text:
                return self._keep(delta.opaque, delta.part)
            case Reasoning():
                item, steps = self._part("reasoning", "summary_text", delta.part)
                return [*steps, self._more(item, delta.text), *self._keep(delta.opaque, delta.part)]
            case Citation():
                return self._cite(delta)
            case ToolCallDelta():
                return self._call(delta)
            case Image():
                return self._image(delta.url) + self._keep(delta.opaque, delta.part)
            case Opaque():
                return self._keep({"wire": delta.wire, "data": delta.data}, delta.part)

    def _text(self, delta: Text) -> list[Json]:
        item, steps = self._part("message", "output_text", delta.part)
        step = self._more(item, delta.text)
        if delta.logprobs is not None and item.part is not None:
            step["logprobs"] = logprobs_block(delta.logprobs).get("content") or []
            item.part["logprobs"] += step["logprobs"]
        return [*steps, step]

    def _cite(self, citation: Citation) -> list[Json]:
        item, steps = self._part("message", "output_text", citation.part)
        notes: list[Json] = item.part["annotations"] if item.part is not None else []
        found = response_annotations(citation)
        if not found and item.part is not None:
            item.part.setdefault("citations", []).append(citation.data)
        for note in found:
            place = self._place(item) | {"annotation_index": len(notes), "annotation": note}
            steps.append({"type": "response.output_text.annotation.added", **place})
            notes.append(note)
        return steps

    def _call(self, delta: ToolCallDelta) -> list[Json]:
        piece = Piece(delta.opaque, call=delta.id) if delta.opaque is not None else None
        steps = self._hold(piece) if piece is not None else []
        key = ("call", delta.index)
        if self._item is None or self._item.key != key:
            if delta.index in self._called:  # more of a call whose arguments were whole: nothing can be added to it
                return steps
            self._called.add(delta.index)
            kind = "custom_tool_call" if delta.kind == "custom" else "function_call"
            named: Json = {"call_id": delta.id or f"call_{delta.index}", "name": delta.name or ""}
            steps += self._open(key, {"type": kind, **named, _CALLS[kind][0]: ""})
        if delta.arguments and self._item is not None:
            _, event = _CALLS[self._item.fields["type"]]
            self._item.pieces.append(delta.arguments)
            steps.append({"type": f"{event}.delta", **self._place(self._item), "delta": delta.arguments})
        return steps

    def _image(self, url: str) -> list[Json]:
        """Tell an image as the result of a call; one that is served by us is named by `url` beside an empty result."""
        steps = self._open(("image", -1), {"type": "image_generation_call", "result": None})
        if self._item is not None:
            head, comma, data = url.partition(",")
            inline = head.startswith("data:") and bool(comma)
            self._item.fields |= {"result": data} if inline else {"url": url}
            steps.append({"type": "response.image_generation_call.completed", **self._place(self._item)})
        return steps + self._end("completed")

    def _keep(self, opaque: Json | None, part: int) -> list[Json]:
        if opaque is None:
            return []
        piece, item = Piece(opaque, part), self._item
        if item is not None and item.key == ("reasoning", part) and item.sealed is None:
            item.sealed = pack(piece)
            return []
        return self._hold(piece)

    def _hold(self, piece: Piece) -> list[Json]:
        self._held.append(pack(piece))
        return self._end("completed") if self._item is None else []

    def _part(self, kind: str, part_kind: str, part: int) -> tuple[_Item, list[Json]]:
        """Open a part of this kind and number, and the item around it, where they are not open."""
        reasoning = kind == "reasoning"
        fields: Json = {"type": "reasoning", "summary": []} if reasoning else {"type": "message", "role": "assistant"}
        if not reasoning:
            fields["content"] = []
        steps = self._open((kind, part if reasoning else 0), fields)
        item = self._item
        assert item is not None  # just opened  # noqa: S101
        if item.part_key == (part_kind, part):
            return item, steps
        steps += self._end_part(item)
        item.part = {"type": part_kind, _PARTS[part_kind][0]: ""}
        if part_kind == "output_text":
            item.part |= {"annotations": [], "logprobs": []}
        item.part_key = (part_kind, part)
        steps.append({"type": f"{_PARTS[part_kind][2]}.added", **self._place(item), "part": _copy(item.part)})
        return item, steps

    def _more(self, item: _Item, text: str) -> Json:
        item.pieces.append(text)
        kind = item.part_key[0] if item.part_key is not None else "output_text"
        step: Json = {"type": f"{_PARTS[kind][1]}.delta", **self._place(item), "delta": text}
        return {**step, "logprobs": []} if kind == "output_text" else step

    def _open(self, key: tuple[str, int], fields: Json) -> list[Json]:
        if self._item is not None and self._item.key == key:
            return []
        steps = self._end("completed")
        index = len(self.output)
        fields = {"id": f"{_PREFIXES[fields['type']]}_{self._name}_{index}", **fields, "status": "in_progress"}
        self._item = _Item(key, fields)
        return [*steps, {"type": "response.output_item.added", "output_index": index, "item": _copy(fields)}]

    def _place(self, item: _Item) -> Json:
        place: Json = {"item_id": item.fields["id"], "output_index": len(self.output)}
        if item.key[0] == "message":
            place["content_index"] = len(item.parts)
        elif item.key[0] == "reasoning":
            place["summary_index"] = len(item.parts)
        return place

    def _end_part(self, item: _Item) -> list[Json]:
        part = item.part
        if part is None:
            return []
        field, text_event, part_event = _PARTS[part["type"]]
        part[field] = "".join(item.pieces)
        place = self._place(item)
        told: Json = {"type": f"{text_event}.done", **place, field: part[field]}
        if part["type"] == "output_text":
            told["logprobs"] = part["logprobs"]
        item.parts.append(part)
        item.part, item.part_key, item.pieces = None, None, []
        return [told, {"type": f"{part_event}.done", **place, "part": _copy(part)}]

    def _end(self, status: str) -> list[Json]:
        """End the open item, and tell what was held for after it."""
        steps: list[Json] = []
        item, self._item = self._item, None
        if item is not None:
            steps = self._end_part(item)
            fields = item.fields
            fields["status"] = status
            if fields["type"] in _CALLS:
                field, event = _CALLS[fields["type"]]
                fields[field] = "".join(item.pieces) or ("{}" if field == "arguments" else "")
                steps.append({"type": f"{event}.done", **self._place(item), field: fields[field]})
            if item.sealed is not None:
                fields["encrypted_content"] = item.sealed
            steps.append(self._done(fields))
        held, self._held = self._held, []
        for sealed in held:
            steps += self._sealed(sealed)
        return steps

    def _sealed(self, sealed: str) -> list[Json]:
        index = len(self.output)
        fields: Json = {"id": f"rs_{self._name}_{index}", "type": "reasoning", "summary": []}
        added = {"type": "response.output_item.added", "output_index": index, "item": fields}
        return [added, self._done({**fields, "encrypted_content": sealed, "status": "completed"})]

    def _done(self, fields: Json) -> Json:
        self.output.append(fields)
        return {"type": "response.output_item.done", "output_index": len(self.output) - 1, "item": fields}


def _copy(fields: Json) -> Json:
    """Copy what goes on growing, as deep as it grows."""
    return {name: list(cast("list[Any]", value)) if type(value) is list else value for name, value in fields.items()}
