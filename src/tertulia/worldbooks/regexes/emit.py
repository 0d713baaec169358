r"""Writes the tree of a JavaScript regex in the syntax of RE2, or of the `regex` module.

JavaScript's meaning is kept: `\w \d \b` are ASCII, `\s` is Unicode white space, `$` is the very end, `[^]` is anything.
Not kept: texts are code points, not UTF-16 halves; with `m` lines end at `\n` alone in RE2, not at `\r` or U+2028.
"""

from typing import Final, Protocol

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
    Perl,
    Property,
    Repeat,
    Seq,
    Span,
    children,
)

_SPACES: Final = (
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
_CLASSES: Final = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": _SPACES,
}
_TOP: Final = 0x10FFFF


def needs_backtracking(node: Node) -> bool:
    """Say whether a pattern has look-around or references back, which no linear-time matcher can do."""
    return isinstance(node, Look | Back) or any(needs_backtracking(child) for child in children(node))


def weight(node: Node) -> int:
    """Give the size of the pattern with its counted repeats written out: what a matcher has to hold."""
    inside = sum(weight(child) for child in children(node))
    if isinstance(node, Repeat):
        return inside * max(node.low, node.high or 1, 1) + 1
    return inside + 1


class _Syntax(Protocol):
    """What differs between the two engines."""

    def code(self, code: int) -> str: ...
    def not_word(self) -> str: ...
    def look(self, node: Look, body: str) -> str: ...
    def back(self, node: Back) -> str: ...
    def edge(self, node: Edge) -> str: ...


class _RE2:
    """RE2; look-around and references are widened, so that the result matches wherever the pattern may."""

    def code(self, code: int) -> str:
        return f"\\x{{{code:x}}}"

    def not_word(self) -> str:
        return r"\W"

    def look(self, node: Look, body: str) -> str:
        return ""

    def back(self, node: Back) -> str:
        return "(?s:.*)"

    def edge(self, node: Edge) -> str:
        if node.kind == "start":
            return "(?m:^)" if node.multiline else r"\A"
        if node.kind == "end":
            return "(?m:$)" if node.multiline else r"\z"
        return r"\b" if node.kind == "word" else r"\B"


_WORD: Final = "[0-9A-Za-z_]"
_AT_LINE_END: Final = r"[\n\r\u2028\u2029]"
_WORD_EDGE: Final = f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))"
_WORD_INSIDE: Final = f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))"


class _Regex:
    """The `regex` module, whose own classes are Unicode: the ASCII ones are written out."""

    def code(self, code: int) -> str:
        return f"\\U{code:08x}"

    def not_word(self) -> str:
        # Without the long s and the Kelvin sign, which ignoring case would turn into the letters s and k.
        spans = _complement(((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A), (0x17F, 0x17F), (0x212A, 0x212A)))
        return "".join(f"{self.code(low)}-{self.code(high)}" for low, high in spans)

    def look(self, node: Look, body: str) -> str:
        return f"(?{'' if node.ahead else '<'}{'!' if node.negated else '='}{body})"

    def back(self, node: Back) -> str:
        # A group that has matched nothing refers to the empty text in JavaScript, and fails elsewhere.
        return f"(?(g{node.number})(?P=g{node.number})|)"

    def edge(self, node: Edge) -> str:
        if node.kind == "start":
            return rf"(?:\A|(?<={_AT_LINE_END}))" if node.multiline else r"\A"
        if node.kind == "end":
            return rf"(?:\Z|(?={_AT_LINE_END}))" if node.multiline else r"\Z"
        return _WORD_EDGE if node.kind == "word" else _WORD_INSIDE


_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ,;:!'\"%<>=@`~")


def to_re2(expression: Expression, *, capture: bool = False) -> str:
    """Write the pattern for RE2; `capture` keeps its groups. One that needs backtracking comes out widened."""
    return _whole(expression, _RE2(), capture=capture)


def to_regex(expression: Expression, *, capture: bool = False) -> str:
    """Write the pattern for the `regex` module, groups named g1, g2, …; without `capture` only those referred to."""
    return _whole(expression, _Regex(), capture=capture)


def _whole(expression: Expression, syntax: _Syntax, *, capture: bool) -> str:
    kept = set(range(1, expression.groups + 1)) if capture else _referred(expression.root)
    text = _write(expression.root, syntax, kept if capture or isinstance(syntax, _Regex) else set())
    if expression.sticky:
        text = rf"\A(?:{text})"
    return f"(?i:{text})" if expression.fold else text


def _referred(node: Node) -> set[int]:
    if isinstance(node, Back):
        return {node.number}
    return {number for child in children(node) for number in _referred(child)}


def _write(node: Node, syntax: _Syntax, kept: set[int]) -> str:
    match node:
        case Char(code):
            text = chr(code) if chr(code) in _PLAIN else syntax.code(code)
        case OneOf():
            text = _class(node, syntax)
        case Edge():
            text = syntax.edge(node)
        case Group():
            text = _group(node, _write(node.body, syntax, kept), kept)
        case Look():
            text = syntax.look(node, _write(node.body, syntax, kept))
        case Back():
            text = syntax.back(node)
        case Repeat():
            text = f"(?:{_write(node.body, syntax, kept)}){_quantifier(node)}"
        case Seq(parts):
            text = "".join(_enclosed(part, syntax, kept) for part in parts)
        case Choice(branches):
            text = "|".join(_write(branch, syntax, kept) for branch in branches)
    return text


def _enclosed(node: Node, syntax: _Syntax, kept: set[int]) -> str:
    text = _write(node, syntax, kept)
    return f"(?:{text})" if isinstance(node, Choice) else text


def _group(node: Group, body: str, kept: set[int]) -> str:
    if node.number in kept:
        return f"(?P<g{node.number}>{body})"
    return f"(?{'' if node.fold is None else 'i' if node.fold else '-i'}:{body})"


def _quantifier(node: Repeat) -> str:
    high = "" if node.high is None else str(node.high)
    return f"{{{node.low},{high}}}{'?' if node.lazy else ''}"


def _class(node: OneOf, syntax: _Syntax) -> str:
    if not node.items:
        return "(?s:.)" if node.negated else f"[^{syntax.code(0)}-{syntax.code(_TOP)}]"
    inside = "".join(_item(item, syntax) for item in node.items)
    return f"[{'^' if node.negated else ''}{inside}]"


def _item(item: Span | Perl | Property, syntax: _Syntax) -> str:
    if isinstance(item, Span):
        low, high = syntax.code(item.low), syntax.code(item.high)
        return low if item.low == item.high else f"{low}-{high}"
    if isinstance(item, Property):
        return f"\\{'P' if item.negated else 'p'}{{{item.name}}}"
    return _perl(item.letter, syntax)


def _perl(letter: str, syntax: _Syntax) -> str:
    if letter == "W":
        return syntax.not_word()
    spans = _CLASSES[letter.lower()]
    if letter.isupper():
        spans = _complement(spans)
    return "".join(_item(Span(low, high), syntax) for low, high in spans)


def _complement(spans: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    edges = [-1, *(edge for span in spans for edge in span), _TOP + 1]
    gaps = ((edges[i] + 1, edges[i + 1] - 1) for i in range(0, len(edges), 2))
    return tuple((low, high) for low, high in gaps if low <= high)
