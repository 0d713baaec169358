"""Deltas as the events of Anthropic's content blocks."""

from typing import Any, Final, final

from tertulia.turn.events import Citation, Delta, Image, Opaque, Reasoning, Refusal, Text, ToolCallDelta
from tertulia.wire.citations import anthropic_citations
from tertulia.wire.contiguous import Contiguous
from tertulia.wire.deltas import encode_json
from tertulia.wire.replay import Piece, pack

Json = dict[str, Any]

_EMPTY: Final[dict[str, Json]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


@final
class Blocks:
    """Tells deltas as events: one block open at a time, numbered as they begin.

    What must be replayed to another provider travels as a `redacted_thinking` block, which clients send back unread; it
    waits until the open block has ended. `called` says whether a tool was called.
    """

    __slots__ = ("_held", "_index", "_key", "_ordered", "_spoken", "called")

    def __init__(self) -> None:
        self._ordered = Contiguous()
        self._index = -1
        self._key: tuple[str, int] | None = None
        self._held: list[Json] = []
        self._spoken: list[str] | None = None  # the input of a custom tool, which is told as one JSON object
        self.called: set[int] = set()

    @property
    def empty(self) -> bool:
        """Whether no block has begun."""
        return self._index < 0

    def text_index(self, part: int) -> int | None:
        """Give the number of the open block if a piece of this part's text goes on with it."""
        return self._index if self._key == ("text", part) else None

    def add(self, delta: Delta) -> list[Json]:
        """Take one delta of the only choice."""
        return [step for ready in self._ordered.add(delta) for step in self._tell(ready)]

    def close(self) -> list[Json]:
        """End what is open."""
        steps = [step for ready in self._ordered.close() for step in self._tell(ready)]
        return steps + self._end()

    def _tell(self, delta: Delta) -> list[Json]:  # noqa: PLR0911 - one arm for each kind of a closed set
        match delta:
            case Text():
                return self._piece("text", delta.part, text=delta.text) + self._opaque(delta.opaque, delta.part)
            case Refusal():
                return self._piece("text", delta.part, text=delta.text)
            case Reasoning():
                steps = self._piece("thinking", delta.part, thinking=delta.text) if delta.text else []
                return steps + self._opaque(delta.opaque, delta.part)
            case Citation():
                steps = self._open("text", delta.part, _EMPTY["text"])
                return steps + [self._delta("citations", citation=note) for note in anthropic_citations(delta)]
            case ToolCallDelta():
                return self._call(delta)
            case Image():
                return self._whole(_image(delta.url)) + self._opaque(delta.opaque, delta.part)
            case Opaque():
                return self._opaque({"wire": delta.wire, "data": delta.data}, delta.part)

    def _opaque(self, opaque: Json | None, part: int) -> list[Json]:
        """Tell a block of Anthropic's own as it was; hold what is of another wire."""
        if opaque is None:
            return []
        block = opaque.get("data")
        if opaque.get("wire") != "anthropic" or not isinstance(block, dict):
            return self._hold(Piece(opaque, part))
        own: Json = opaque["data"]
        if own.get("type") != "thinking":
            return self._whole(own)
        steps = self._open("thinking", part, _EMPTY["thinking"])
        return [*steps, self._delta("signature", signature=own.get("signature", ""))]

    def _call(self, delta: ToolCallDelta) -> list[Json]:
        key = ("tool", delta.index)
        steps = self._hold(Piece(delta.opaque, call=delta.id)) if delta.opaque is not None else []
        if self._key != key:
            if delta.index in self.called:  # more of a call whose arguments were whole: nothing can be added to it
                return steps
            self.called.add(delta.index)
            name, identity = delta.name or "", delta.id or f"call_{delta.index}"
            steps += self._open(*key, {"type": "tool_use", "id": identity, "name": name, "input": {}})
            self._spoken = [] if delta.kind == "custom" else None
        if self._spoken is not None:
            self._spoken.append(delta.arguments)
        elif delta.arguments:
            steps.append(self._delta("input_json", partial_json=delta.arguments))
        return steps

    def _piece(self, kind: str, part: int, **piece: str) -> list[Json]:
        return [*self._open(kind, part, _EMPTY[kind]), self._delta(kind, **piece)]

    def _open(self, kind: str, part: int, block: Json) -> list[Json]:
        if self._key == (kind, part):
            return []
        steps = self._end()
        self._index += 1
        self._key = (kind, part)
        return [*steps, {"type": "content_block_start", "index": self._index, "content_block": block}]

    def _delta(self, kind: str, **fields: Any) -> Json:
        return {"type": "content_block_delta", "index": self._index, "delta": {"type": f"{kind}_delta", **fields}}

    def _end(self) -> list[Json]:
        """End the open block, and tell what was held for after it."""
        steps: list[Json] = []
        if self._key is not None:
            if self._spoken is not None:
                whole = encode_json({"input": "".join(self._spoken)}).decode()
                steps.append(self._delta("input_json", partial_json=whole))
                self._spoken = None
            steps.append({"type": "content_block_stop", "index": self._index})
            self._key = None
        held, self._held = self._held, []
        return steps + [step for block in held for step in self._whole(block)]

    def _hold(self, piece: Piece) -> list[Json]:
        self._held.append({"type": "redacted_thinking", "data": pack(piece)})
        return [] if self._key is not None else self._end()

    def _whole(self, block: Json) -> list[Json]:
        """Tell a block that is known whole; the input of a tool comes as a delta, as clients read it."""
        steps = self._end()
        self._index += 1
        given = block.get("input") if str(block.get("type", "")).endswith("tool_use") else None
        begun: Json = block if given is None else {**block, "input": {}}
        steps.append({"type": "content_block_start", "index": self._index, "content_block": begun})
        if given:
            steps.append(self._delta("input_json", partial_json=encode_json(given).decode()))
        return [*steps, {"type": "content_block_stop", "index": self._index}]


def _image(url: str) -> Json:
    """Write an image as Anthropic's clients send one."""
    head, comma, data = url.partition(",")
    if head.startswith("data:") and comma:
        media = head[5:].removesuffix(";base64")
        return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}
    return {"type": "image", "source": {"type": "url", "url": url}}
