"""Where the contents go in the prompt. Source: characters, 3.8."""

from collections.abc import Sequence
from enum import IntEnum

import msgspec


class Position(IntEnum):
    """SillyTavern's numbers; an entry with any other is active and placed nowhere."""

    BEFORE = 0  # the character's definition
    AFTER = 1
    NOTE_TOP = 2  # the author's note
    NOTE_BOTTOM = 3
    AT_DEPTH = 4
    EXAMPLES_TOP = 5
    EXAMPLES_BOTTOM = 6
    OUTLET = 7


class Placed(msgspec.Struct, frozen=True):
    """A content with its place; `order` decides who comes first."""

    content: str
    order: float
    position: int
    depth: int
    role: int
    outlet: str


class Example(msgspec.Struct, frozen=True):
    """Example dialogue to go before (0) or after (1) the card's own."""

    position: int
    content: str


class AtDepth(msgspec.Struct, frozen=True):
    """Contents to go in above the last `depth` messages; `role` 0 system, 1 user, 2 assistant."""

    depth: int
    role: int
    entries: tuple[str, ...]


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a prompt that come of world books. `an` is the author's note with what was put round it."""

    before: str = ""
    after: str = ""
    an: str = ""
    em: tuple[Example, ...] = ()
    depth: tuple[AtDepth, ...] = ()
    outlet: dict[str, tuple[str, ...]] = {}


def place(contents: Sequence[Placed], note: str | None) -> Prompt:
    """Put the contents of the active entries, in activation order, into their places.

    Within a place higher orders come later; at equal order what was activated later comes first.
    """
    filled = [placed for placed in contents if placed.content]
    descending = sorted(filled, key=lambda placed: -placed.order)
    ascending = descending[::-1]

    def texts(position: Position) -> list[str]:
        return [placed.content for placed in ascending if placed.position == position]

    return Prompt(
        before="\n".join(texts(Position.BEFORE)),
        after="\n".join(texts(Position.AFTER)),
        an=_note(note, texts(Position.NOTE_TOP), texts(Position.NOTE_BOTTOM)),
        em=_examples(ascending),
        depth=_depths(descending),
        outlet=_outlets(descending),
    )


def _note(note: str | None, top: list[str], bottom: list[str]) -> str:
    if note is None:
        return ""
    joined = "\n".join(("\n".join(top), note, "\n".join(bottom)))
    return joined.removeprefix("\n").removesuffix("\n")


def _examples(ascending: list[Placed]) -> tuple[Example, ...]:
    sides = {Position.EXAMPLES_TOP: 0, Position.EXAMPLES_BOTTOM: 1}
    return tuple(
        Example(sides[Position(placed.position)], placed.content) for placed in ascending if placed.position in sides
    )


def _depths(descending: list[Placed]) -> tuple[AtDepth, ...]:
    groups: dict[tuple[int, int], list[str]] = {}
    for placed in descending:
        if placed.position == Position.AT_DEPTH:
            groups.setdefault((placed.depth, placed.role), []).append(placed.content)
    return tuple(AtDepth(depth, role, tuple(entries[::-1])) for (depth, role), entries in groups.items())


def _outlets(descending: list[Placed]) -> dict[str, tuple[str, ...]]:
    outlets: dict[str, list[str]] = {}
    for placed in descending:
        if placed.position == Position.OUTLET and placed.outlet:
            outlets.setdefault(placed.outlet, []).append(placed.content)
    return {name: tuple(contents) for name, contents in outlets.items()}
