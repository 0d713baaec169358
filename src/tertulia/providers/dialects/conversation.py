"""Turn a prompt into alternating turns, for the wires that insist on it (Providers, 4.0 "Roles", ALT)."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from tertulia.providers.dialects.reading import Json, dict_of
from tertulia.turn.content import Function, Message, ToolCall

Side = Literal["user", "assistant"]

PLACEHOLDER = "…"
"""What stands in for a first turn of the user where a prompt begins with the assistant."""


class Turn(msgspec.Struct):
    """Neighbouring messages of one side as one turn of blocks, in the wire's own form."""

    side: Side
    blocks: list[Json]


def add_blocks(turns: list[Turn], side: Side, blocks: Iterable[Json]) -> None:
    """Add blocks to the last turn if it is of the same side, else as a new one; nothing for no blocks."""
    added = list(blocks)
    if not added:
        return
    if turns and turns[-1].side == side:
        turns[-1].blocks += added
    else:
        turns.append(Turn(side, added))


def is_instruction(message: Message) -> bool:
    """Tell whether a message belongs to the instructions rather than to the conversation."""
    return message.role in {"system", "developer"}


def calls_of(message: Message) -> list[ToolCall]:
    """Give the tool calls of an assistant's message; a legacy `function_call` is one too, called by its name."""
    calls = list(message.tool_calls or ())
    legacy = message.function_call
    if legacy and isinstance(legacy.get("name"), str):
        arguments = legacy.get("arguments")
        text = arguments if isinstance(arguments, str) else "{}"
        calls.append(ToolCall(legacy["name"], Function(legacy["name"], text)))
    return calls


def result_id(message: Message) -> str:
    """Give the id of the call that a `tool` or `function` message answers."""
    return message.tool_call_id or message.name or ""


def kept_blocks(message: Message, wire: str) -> list[Json]:
    """Give the blocks that an earlier answer of this wire wants back, in their order."""
    mine = [kept for kept in message.opaque or () if kept.get("wire") == wire]
    mine.sort(key=_part)
    return [dict_of(kept.get("data")) for kept in mine]


def _part(kept: Json) -> int:
    part = kept.get("part")
    return part if isinstance(part, int) else 0


def argument_object(text: str) -> Json:
    """Read the arguments of a call as the object that a wire wants; what is not one is handed on under a name."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return {"arguments": text}
    return dict_of(value) if isinstance(value, dict) else {"arguments": value}
