"""What a message is when it is stored, and when it is shown."""

from typing import Any

import msgspec

from tertulia.kernel.clock import rfc3339
from tertulia.kernel.ids import id_text
from tertulia.turn.content import Message, Part, ToolCall
from tertulia.turn.events import Citation
from tertulia.turn.fold import Choice


class Parts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of a stored message. `content` is there where it is more than text."""

    text: str = ""
    content: list[Part] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str = ""
    images: tuple[str, ...] = ()
    citations: tuple[dict[str, Any], ...] = ()

    def encoded(self) -> str:
        """Write it for its column."""
        return msgspec.json.encode(self).decode()


def parts_of_message(message: Message) -> Parts:
    """Take what is to be stored out of a message of a request."""
    return Parts(
        text=message.text(),
        content=message.content if isinstance(message.content, list) else None,
        tool_calls=tuple(message.tool_calls or ()),
        tool_call_id=message.tool_call_id,
        name=message.name,
        refusal=message.refusal or "",
    )


def parts_of_choice(choice: Choice) -> Parts:
    """Take what is to be stored out of an answer."""
    return Parts(
        text=choice.text,
        tool_calls=choice.tool_calls,
        refusal=choice.refusal,
        images=choice.images,
        citations=tuple(_citation(citation) for citation in choice.citations),
    )


def _citation(citation: Citation) -> dict[str, Any]:
    return {"wire": citation.wire, "part": citation.part, "data": citation.data}


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A message as the camelCase faces show it (HTTP contract, Sessions face)."""

    id: str
    role: str
    content: str
    created_at: str
    parent_id: str | None
    status: str
    model_id: str | None = None
    generation_id: str | None = None
    version: int
    edited: bool
    sibling_ids: list[str]
    sibling_index: int
    child_count: int
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    images: list[str]


def show_new(
    *,
    message_id: bytes,
    parent_id: bytes | None,
    siblings: tuple[bytes, ...],
    role: str,
    parts: Parts,
    status: str,
    created_at: int,
    child_count: int,
    model: str | None = None,
    generation_id: bytes | None = None,
) -> dict[str, Any]:
    """Show a message that is being stored just now."""
    shown = Shown(
        id=id_text(message_id),
        role=role,
        content=parts.text,
        created_at=rfc3339(created_at),
        parent_id=id_text(parent_id) if parent_id else None,
        status=status,
        model_id=model,
        generation_id=id_text(generation_id) if generation_id else None,
        version=1,
        edited=False,
        sibling_ids=[id_text(sibling) for sibling in siblings],
        sibling_index=siblings.index(message_id),
        child_count=child_count,
        tool_calls=[call.to_wire() for call in parts.tool_calls] or None,
        tool_call_id=parts.tool_call_id,
        images=list(parts.images),
    )
    return msgspec.to_builtins(shown)
