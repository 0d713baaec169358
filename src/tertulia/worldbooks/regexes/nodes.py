"""The tree of a JavaScript regular expression, as far as matching cares about it."""

from typing import Literal

import msgspec


class Span(msgspec.Struct, frozen=True):
    """Code points from `low` to `high`, both included."""

    low: int
    high: int


class Perl(msgspec.Struct, frozen=True):
    r"""One of the classes `\d \D \w \W \s \S`, by its letter."""

    letter: Literal["d", "D", "w", "W", "s", "S"]


class Property(msgspec.Struct, frozen=True):
    r"""A Unicode property, `\p{name}` or `\P{name}`; the name without `Script=` or `General_Category=`."""

    name: str
    negated: bool


class Char(msgspec.Struct, frozen=True):
    """One code point."""

    code: int


class OneOf(msgspec.Struct, frozen=True):
    """One code point out of a class; without items and negated it is any code point."""

    items: tuple[Span | Perl | Property, ...]
    negated: bool = False


class Edge(msgspec.Struct, frozen=True):
    """A place between two code points."""

    kind: Literal["start", "end", "word", "inside"]
    multiline: bool = False


class Group(msgspec.Struct, frozen=True):
    """Parentheses; `number` counts the capturing ones from 1. `fold` is set by an inline `(?i:…)`."""

    body: "Node"
    number: int = 0
    fold: bool | None = None


class Look(msgspec.Struct, frozen=True):
    """A look-ahead or look-behind."""

    body: "Node"
    ahead: bool
    negated: bool


class Back(msgspec.Struct, frozen=True):
    """A reference back to what a group matched."""

    number: int


class Repeat(msgspec.Struct, frozen=True):
    """A quantified node; `high` None has no upper end."""

    body: "Node"
    low: int
    high: int | None
    lazy: bool


class Seq(msgspec.Struct, frozen=True):
    """One node after another."""

    parts: "tuple[Node, ...]"


class Choice(msgspec.Struct, frozen=True):
    """Alternatives, tried from the left."""

    branches: "tuple[Node, ...]"


Node = Char | OneOf | Edge | Group | Look | Back | Repeat | Seq | Choice


class Expression(msgspec.Struct, frozen=True):
    """A whole pattern with what its flags mean.

    `names` maps group names to numbers; `sticky` is the `y` flag, which at offset 0 anchors the pattern to the start.
    """

    root: Node
    groups: int
    names: dict[str, int]
    fold: bool
    sticky: bool


def children(node: Node) -> "tuple[Node, ...]":
    """Give the nodes directly under a node."""
    if isinstance(node, Seq):
        return node.parts
    if isinstance(node, Choice):
        return node.branches
    if isinstance(node, Group | Look | Repeat):
        return (node.body,)
    return ()
