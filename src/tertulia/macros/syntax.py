r"""Reads a text with macros into nodes. Source: characters, 1.7.

One reading from the left with a stack of open braces: what is not closed, or is no macro, falls back into text. A
closing `{{/name}}` makes the stretch since its opening the last argument of that macro, where one more is allowed.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

MAX_DEPTH: Final = 64
MAX_MACROS: Final = 10_000

_MAX_BRACES: Final = 100_000
_MAX_ARGUMENTS: Final = 1000
_BRACES: Final = re.compile(r"(?:\\[{}])+|\{\{|\}\}")
_HEAD: Final = re.compile(r"\s*([!?~>#\s]*)(///|//|/?[A-Za-z][\w-]*)")
_VARIABLE: Final = re.compile(
    r"\s*[!?~>#\s]*([.$])\s*([A-Za-z](?:[\w-]*\w)?)\s*"
    r"(\+\+|--|\+=|-=|\?\?=|\|\|=|\?\?|\|\||==|!=|>=|<=|=|>|<)?"
)
_LEGACY_TIME: Final = re.compile(r"\{\{\s*time_UTC([+-]\d+)\s*\}\}", re.IGNORECASE)
_LEGACY_TAG: Final = re.compile(r"<(USER|BOT|CHAR|GROUP|CHARIFNOTGROUP)>", re.IGNORECASE)
_TAG_NAMES: Final = {
    "user": "user",
    "bot": "char",
    "char": "char",
    "group": "group",
    "charifnotgroup": "charIfNotGroup",
}


class Text(msgspec.Struct, frozen=True):
    """Plain text."""

    text: str


class Macro(msgspec.Struct, frozen=True):
    """A macro, whose name is in lower case. `head` is what is written from the braces to its arguments.

    `at` and `end` are offsets in the text; `keeps_space` is the `#` flag; a scoped one has a `body` and its `closing`.
    """

    name: str
    head: str
    arguments: "tuple[Nodes, ...]"
    at: int
    end: int
    keeps_space: bool = False
    body: "Nodes | None" = None
    closing: str = ""


class Closing(msgspec.Struct, frozen=True):
    """A `{{/name}}`, as written."""

    name: str
    written: str
    end: int


class Variable(msgspec.Struct, frozen=True):
    """A `{{.name}}` or `{{$name}}` with its operator, if any, and what follows it."""

    is_global: bool
    name: str
    operator: str
    head: str
    value: "Nodes"
    at: int
    end: int


Node = Text | Macro | Closing | Variable
Nodes = tuple[Node, ...]
Opens = Callable[[str, int], bool]


def modernised(text: str) -> str:
    """Write the old angle tags and `{{time_UTC+2}}` as macros."""
    if "_" in text:
        text = _LEGACY_TIME.sub(r"{{time::UTC\1}}", text)
    if "<" not in text:
        return text
    return _LEGACY_TAG.sub(lambda tag: f"{{{{{_TAG_NAMES.get(tag[1].lower(), tag[1].lower())}}}}}", text)


def may_expand(text: str) -> bool:
    """Say whether a text could come out of expansion otherwise than it went in."""
    return "{{" in text or "\\{" in text or "\\}" in text or ("<" in text and _LEGACY_TAG.search(text) is not None)


def parse(text: str, opens: Opens) -> Nodes:
    """Read a text; `opens` says whether a macro of this name, with so many arguments, can take a scoped body.

    What follows the ten-thousandth opening is text, as is what follows 100,000 braces of any kind.
    """
    frames: list[tuple[int, list[Node]]] = [(0, [])]
    done = at = opened = seen = 0
    while opened <= MAX_MACROS and seen < _MAX_BRACES and (found := _BRACES.search(text, at)):
        at = found.end()
        seen += 1
        opening = found[0] == "{{"
        if opening and text.startswith("{", at):
            at = found.start() + 1  # of three braces the first stands for itself
            continue
        if found[0].startswith("\\") or (len(frames) > MAX_DEPTH if opening else len(frames) == 1):
            continue
        _append(frames[-1][1], text[done : found.start()])
        done = at
        opened += opening
        if opening:
            frames.append((found.start(), []))
        else:
            start, inside = frames.pop()
            _close(frames[-1][1], inside, (start, at), opens)
    _append(frames[-1][1], text[done:])
    while len(frames) > 1:
        _, inside = frames.pop()
        _append(frames[-1][1], "{{")
        _extend(frames[-1][1], inside)
    return _paired(frames[0][1], opens)


def _append(nodes: list[Node], text: str) -> None:
    if not text:
        return
    last = nodes[-1] if nodes else None
    if isinstance(last, Text):
        nodes[-1] = Text(last.text + text)
    else:
        nodes.append(Text(text))


def _extend(nodes: list[Node], more: list[Node]) -> None:
    for node in more:
        if isinstance(node, Text):
            _append(nodes, node.text)
        else:
            nodes.append(node)


def _close(nodes: list[Node], inside: list[Node], span: tuple[int, int], opens: Opens) -> None:
    """Put what stood between two braces where it belongs: as a node, or as the text that it is."""
    node = _variable(inside, span, opens) or _macro(inside, span, opens)
    if node is not None:
        nodes.append(node)
        return
    _append(nodes, "{{")
    _extend(nodes, inside)
    _append(nodes, "}}")


def _variable(inside: list[Node], span: tuple[int, int], opens: Opens) -> Variable | None:
    first = inside[0] if inside else None
    found = _VARIABLE.match(first.text) if isinstance(first, Text) else None
    if found is None or not isinstance(first, Text):
        return None
    operator, rest = found[3] or "", first.text[found.end() :]
    wants_value = operator not in ("", "++", "--")
    if not wants_value and (rest.strip() or len(inside) > 1):
        return None
    value = [*([Text(rest)] if rest else []), *inside[1:]]
    return Variable(found[1] == "$", found[2], operator, f"{{{{{found[0]}", _paired(value, opens), *span)


def _macro(inside: list[Node], span: tuple[int, int], opens: Opens) -> Macro | Closing | None:
    first = inside[0] if inside else None
    found = _HEAD.match(first.text) if isinstance(first, Text) else None
    if found is None or not isinstance(first, Text):
        return None
    name, rest = found[2].lower(), first.text[found.end() :]
    if name.startswith("/") and name != "//":
        closed = not rest.strip() and len(inside) == 1
        return Closing(name[1:], f"{{{{{first.text}}}}}", span[1]) if closed else None
    separator, gap = _separator(name, rest, more=len(inside) > 1)
    if separator is None:
        return None
    head = f"{{{{{found[0]}{gap}"
    value = [*([Text(rest[len(gap) :])] if rest[len(gap) :] else []), *inside[1:]]
    arguments = _split(value) if separator == "::" else [value] if separator else []
    return Macro(name, head, tuple(_paired(part, opens) for part in arguments), *span, "#" in found[1])


def _separator(name: str, rest: str, *, more: bool) -> tuple[str | None, str]:
    """Say how arguments begin ("::" a list, ":" one, "" none; None: this is no macro), and what stands before them."""
    bare = rest.lstrip()
    space = rest[: len(rest) - len(bare)]
    if bare.startswith("::"):
        return "::", f"{space}::"
    if bare.startswith(":"):
        return ":", f"{space}:"
    if not bare and not more:
        return "", space
    return (":", space) if space or name == "//" else (None, "")


def _split(nodes: list[Node]) -> list[list[Node]]:
    """Cut a list of arguments at the colons of its own level; no macro takes more than a thousand."""
    parts: list[list[Node]] = [[]]
    for node in nodes:
        if not isinstance(node, Text):
            parts[-1].append(node)
            continue
        first, *others = node.text.split("::", max(_MAX_ARGUMENTS - len(parts) + 1, 0))
        _append(parts[-1], first)
        for other in others:
            parts.append([])
            _append(parts[-1], other)
    return parts


def _paired(nodes: list[Node], opens: Opens) -> Nodes:
    """Give each closing its opening: the nearest before it that can take a body. Others stay what they are."""
    if not any(isinstance(node, Closing) for node in nodes):
        return tuple(nodes)
    out: list[Node] = []
    depths: list[int] = []
    waiting: dict[str, list[int]] = {}
    for node in nodes:
        depth = 0
        if isinstance(node, Macro) and opens(node.name, len(node.arguments)):
            waiting.setdefault(node.name, []).append(len(out))
        elif isinstance(node, Closing) and (place := _opening(waiting, node.name, len(out))) is not None:
            depth = 1 + max(depths[place:])
            if depth > MAX_DEPTH:
                waiting.clear()  # what began before would be deeper still
            else:
                node = _scoped(out[place], tuple(out[place + 1 :]), node)  # noqa: PLW2901 - the pair takes its place
                del out[place:], depths[place:]
        out.append(node)
        depths.append(depth)
    return tuple(out)


def _opening(waiting: dict[str, list[int]], name: str, length: int) -> int | None:
    places = waiting.get(name, [])
    while places and places[-1] >= length:  # swallowed by a pair round it
        places.pop()
    return places.pop() if places else None


def _scoped(node: Node, body: Nodes, closing: Closing) -> Node:
    if not isinstance(node, Macro):
        return node
    return msgspec.structs.replace(node, body=body, closing=closing.written, end=closing.end)
