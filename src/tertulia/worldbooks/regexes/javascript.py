r"""Reads JavaScript regular expressions (ECMA-262, with Annex B where the `u` flag is absent) into a tree.

Keys of world books and dictionaries are written in this syntax. Without `u` JavaScript accepts much that is sloppy:
`{` and `]` as themselves, `\_` as `_`, `\8` as `8`. A text that JavaScript would refuse is refused here too, since
a key that is no regex is then taken literally.
"""

import re
from typing import Final

from tertulia.kernel.errors import Invalid
from tertulia.worldbooks.regexes.cursor import Cursor, RegexSyntaxError, read_class
from tertulia.worldbooks.regexes.nodes import (
    Back,
    Char,
    Choice,
    Edge,
    Expression,
    Group,
    Look,
    Node,
    OneOf,
    Repeat,
    Seq,
    Span,
)

_FLAGS: Final = frozenset("gimsuy")
_MAX_DEPTH: Final = 40
_LINE_ENDS: Final = (Span(0x0A, 0x0A), Span(0x0D, 0x0D), Span(0x2028, 0x2029))
_COUNTED: Final = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_GROUP_NAME: Final = re.compile(r"<([^\W\d]\w*|[$_][\w$]*)>")
_MODIFIERS: Final = re.compile(r"\?([ims]*)(-[ims]*)?:")
_REFERENCE: Final = re.compile(r"[0-9]{0,3}")
_SHORT_BOUNDS: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_LOOKS: Final = (("?=", True, False), ("?!", True, True), ("?<=", False, False), ("?<!", False, True))


class RegexTooDeep(Invalid):
    """A pattern with more nested parentheses than we follow."""


def parse(body: str, flags: str = "") -> Expression:
    """Read the text between the slashes, and the flags after them.

    Raises RegexSyntaxError where JavaScript would, RegexTooDeep beyond 40 nested groups.
    """
    if not _FLAGS.issuperset(flags) or len(set(flags)) != len(flags):
        raise RegexSyntaxError(f"invalid regular expression flags: {flags}")
    return _Parser(body, flags).expression()


def _group_census(body: str) -> tuple[int, bool]:
    r"""Count the capturing groups, and say whether any has a name: the meaning of `\1` and `\k` hangs on it."""
    count, named, in_class, at = 0, False, False, 0
    while at < len(body):
        char = body[at]
        if char == "\\":
            at += 1
        elif char == "[":
            in_class = True
        elif char == "]":
            in_class = False
        elif char == "(" and not in_class:
            name_follows = body.startswith("?<", at + 1) and body[at + 3 : at + 4] not in ("=", "!", "")
            named = named or name_follows
            count += name_follows or not body.startswith("?", at + 1)
        at += 1
    return count, named


class _Parser:
    """A recursive descent over one pattern."""

    def __init__(self, body: str, flags: str) -> None:
        self._cursor = Cursor(body, unicode="u" in flags)
        self._flags = flags
        self._multiline = "m" in flags
        self._dot_all = "s" in flags
        self._depth = 0
        self._total, self._has_names = _group_census(body)
        self._groups = 0
        self._closed: set[int] = set()
        self._names: dict[str, int] = {}
        self._wanted: set[str] = set()

    def expression(self) -> Expression:
        root = self._choice()
        if not self._cursor.ended:
            raise RegexSyntaxError("unmatched ')' in the pattern")
        if unknown := self._wanted - self._names.keys():
            raise RegexSyntaxError(f"a reference to a group that does not exist: {min(unknown)}")
        return Expression(root, self._groups, self._names, "i" in self._flags, "y" in self._flags)

    # Structure

    def _choice(self) -> Node:
        branches = [self._sequence()]
        while self._cursor.take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while not self._cursor.ended and self._cursor.ahead not in "|)":
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Seq(tuple(parts))

    def _term(self) -> Node:
        node = self._edge() or self._atom()
        fixed = isinstance(node, Edge) or (isinstance(node, Look) and (self._cursor.unicode or not node.ahead))
        if fixed:
            self._refuse_quantifier()
            return node
        return self._quantified(node)

    def _edge(self) -> Edge | None:
        if self._cursor.ahead not in "^$\\":
            return None
        if self._cursor.take("^"):
            return Edge("start", self._multiline)
        if self._cursor.take("$"):
            return Edge("end", self._multiline)
        if self._cursor.take("\\b"):
            return Edge("word")
        return Edge("inside") if self._cursor.take("\\B") else None

    # Quantifiers

    def _quantified(self, node: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return node
        low, high = bounds
        if high is not None and high < low:
            raise RegexSyntaxError("numbers out of order in a quantifier")
        lazy = self._cursor.take("?")
        self._refuse_quantifier()
        return Repeat(node, low, high, lazy)

    def _bounds(self) -> tuple[int, int | None] | None:
        cursor = self._cursor
        if cursor.ended or cursor.ahead not in "*+?{":
            return None
        if cursor.ahead != "{":
            return _SHORT_BOUNDS[cursor.next()]
        found = cursor.take_match(_COUNTED)
        if found is not None:
            low = _bound(found[1])
            return low, low if not found[2] else _bound(found[3]) if found[3] else None
        if cursor.unicode:
            raise RegexSyntaxError("an incomplete quantifier")
        return None

    def _refuse_quantifier(self) -> None:
        if self._bounds() is not None:
            raise RegexSyntaxError("nothing to repeat before a quantifier")

    # Atoms

    def _atom(self) -> Node:
        cursor = self._cursor
        if self._bounds() is not None:
            raise RegexSyntaxError("nothing to repeat before a quantifier")
        char = cursor.next()
        if char == "(":
            return self._parenthesis()
        if char == "[":
            return read_class(cursor)
        if char == ".":
            return OneOf((), negated=True) if self._dot_all else OneOf(_LINE_ENDS, negated=True)
        if char == "\\":
            return self._escape()
        if cursor.unicode and char in "{}]":
            raise RegexSyntaxError(f"a lone {char!r} is not allowed with the u flag")
        return Char(ord(char))

    def _parenthesis(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RegexTooDeep(f"more than {_MAX_DEPTH} nested groups in a pattern")
        node = self._opened()
        if not self._cursor.take(")"):
            raise RegexSyntaxError("an unclosed group in the pattern")
        self._depth -= 1
        return node

    def _opened(self) -> Node:
        for opening, ahead, negated in _LOOKS:
            if self._cursor.take(opening):
                return Look(self._choice(), ahead, negated)
        if self._cursor.take("?<"):
            return self._named_group()
        return self._modified_group() if self._cursor.sees("?") else self._capture()

    def _capture(self) -> Group:
        self._groups += 1
        number = self._groups
        body = self._choice()
        self._closed.add(number)
        return Group(body, number)

    def _named_group(self) -> Group:
        self._cursor.at -= 1
        found = self._cursor.take_match(_GROUP_NAME)
        if found is None or found[1] in self._names:
            raise RegexSyntaxError("an invalid or repeated group name")
        self._names[found[1]] = self._groups + 1
        return self._capture()

    def _modified_group(self) -> Group:
        found = self._cursor.take_match(_MODIFIERS)
        if found is None:
            raise RegexSyntaxError("an invalid group in the pattern")
        on, off = found[1], (found[2] or "")[1:]
        if len(set(on + off)) != len(on + off) or (found[2] == "-" and not on):
            raise RegexSyntaxError("invalid flags of a group")
        before = self._multiline, self._dot_all
        self._multiline = "m" in on or (self._multiline and "m" not in off)
        self._dot_all = "s" in on or (self._dot_all and "s" not in off)
        body = self._choice()
        self._multiline, self._dot_all = before
        return Group(body, fold=True if "i" in on else False if "i" in off else None)

    # Escapes

    def _escape(self) -> Node:
        cursor = self._cursor
        char = cursor.next()
        if (item := cursor.class_escape(char)) is not None:
            return OneOf((item,))
        if char == "k" and (cursor.unicode or self._has_names):
            return self._named_reference()
        if char in "123456789":
            return self._reference(char)
        return Char(cursor.character_escape(char))

    def _named_reference(self) -> Node:
        found = self._cursor.take_match(_GROUP_NAME)
        if found is None:
            raise RegexSyntaxError("an invalid named reference")
        self._wanted.add(found[1])
        return self._back(self._names.get(found[1], 0))

    def _reference(self, first: str) -> Node:
        start = self._cursor.at
        digits = self._cursor.take_match(_REFERENCE)
        number = int(first + (digits[0] if digits else ""))
        if number <= self._total:
            return self._back(number)
        if self._cursor.unicode:
            raise RegexSyntaxError("a reference to a group that does not exist")
        self._cursor.at = start
        return Char(ord(first) if first in "89" else self._cursor.octal())

    def _back(self, number: int) -> Node:
        """Refer to a group; one that is still open, or comes later, has matched nothing yet: the empty text."""
        return Back(number) if number in self._closed else Seq(())


def _bound(digits: str) -> int:
    """Read a repeat count; all that is beyond what we allow is the same to us, however many digits it has."""
    return int(digits) if len(digits) <= 6 else 1_000_000
