"""Literal pieces that a text must hold for a regex to match it: the cheap test before the real one."""

from collections.abc import Iterable
from typing import Final

from tertulia.worldbooks.regexes.nodes import Char, Choice, Group, Look, Node, Repeat, Seq

_MAX_BRANCHES: Final = 16
_MIN_LENGTH: Final = 2

Atoms = frozenset[str]
_NOTHING: Final[Atoms] = frozenset()


def required(node: Node) -> Atoms:
    """Give lower-case texts of which one must be in the lower-cased text; empty when there is nothing to go by.

    None holds a line feed or U+0001, so that each lies within one piece of a scanned text.
    """
    match node:
        case Char():
            found = _usable(_run(node))
        case Seq(parts):
            found = _best(_of_parts(parts))
        case Choice(branches):
            found = _union(required(branch) for branch in branches)
        case Group(body) | Look(body, _, False):
            found = required(body)
        case Repeat(body, low) if low:
            found = required(body)
        case _:
            found = _NOTHING
    return found


def _of_parts(parts: tuple[Node, ...]) -> list[Atoms]:
    found: list[Atoms] = []
    run = ""
    for part in parts:
        if letter := _run(part):
            run += letter
            continue
        found += [_usable(run), required(part)]
        run = ""
    return [*found, _usable(run)]


def _run(node: Node) -> str:
    """Give the letter that a node stands for, if lower-casing treats it as JavaScript's `i` flag does."""
    if not isinstance(node, Char):
        return ""
    letter = chr(node.code)
    if letter.isascii():
        return "" if letter in "\n\x01" else letter.lower()
    return letter if letter.lower() == letter.upper() and not 0xD800 <= node.code < 0xE000 else ""


def _usable(run: str) -> Atoms:
    return frozenset((run,)) if len(run) >= _MIN_LENGTH or (run and not run.isascii()) else _NOTHING


def _best(choices: list[Atoms]) -> Atoms:
    return max(choices, key=lambda atoms: min(map(len, atoms)) / len(atoms) if atoms else 0, default=_NOTHING)


def _union(branches: Iterable[Atoms]) -> Atoms:
    union: set[str] = set()
    for atoms in branches:
        if not atoms:
            return _NOTHING
        union |= atoms
    return frozenset(union) if len(union) <= _MAX_BRANCHES else _NOTHING
