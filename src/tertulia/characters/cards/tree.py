"""The parsed tree of a card: plain JSON that any store takes, and beside it the numbers as they were written.

`1.10`, `1e400` or a 30-digit id would come back as another text than the one that was read. A tree is therefore
*settled* for keeping (plain dict, list, str, int within 64 bits, finite float, bool, None; the literal of each such
number in `literals`, by JSON pointer) and *armed* for conversions and writing (those numbers are `Number` again, and
travel with whatever moves them).
"""

import re
import sys
from collections.abc import Iterable
from typing import Any, Final, Self, TypeGuard, cast

import msgspec

from tertulia.characters.cards.remarks import Remarks

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL and SQLite disagree on them
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_INT64: Final = 2**63

Object = dict[str, Any]


class Number(float):
    """A number that remembers how it was written."""

    __slots__ = ("literal",)
    literal: str

    def __new__(cls, literal: str) -> Self:
        """Read `literal`, a number of JSON's grammar; one out of a float's range is infinite here."""
        number = super().__new__(cls, literal)
        number.literal = literal
        return number

    def __reduce__(self) -> tuple[type["Number"], tuple[str]]:
        return Number, (self.literal,)

    @property
    def plain(self) -> int | float:
        """The nearest number that every store takes."""
        whole = _int64(self.literal)
        return whole if whole is not None else max(-sys.float_info.max, min(sys.float_info.max, float(self)))


class Tree(msgspec.Struct, frozen=True):
    """A settled tree: `root` is plain JSON, `literals` maps JSON pointers to numbers as written."""

    root: Object
    literals: dict[str, str] = {}


def is_object(value: object) -> TypeGuard[Object]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return isinstance(value, list)


def read_integer(literal: str) -> int | Number:
    """Return a JSON integer, keeping the form of what is no plain 64-bit number."""
    number = int(literal) if len(literal) <= 18 else _int64(literal)
    return Number(literal) if number is None or literal == "-0" else number


def _int64(literal: str) -> int | None:
    if len(literal) > 20 or not literal.removeprefix("-").isdigit():
        return None
    number = int(literal)
    return number if -_INT64 <= number < _INT64 else None


def read_real(literal: str) -> float | Number:
    """Return a JSON number with a fraction or an exponent, keeping its form unless writing gives the same text."""
    value = float(literal)
    return value if msgspec.json.encode(value) == literal.encode() else Number(literal)


def settle(root: Object, remarks: Remarks) -> Tree:
    """Make an armed tree plain, in place; characters that no store takes become U+FFFD, with a warning."""
    literals: dict[str, str] = {}
    pending: list[tuple[Any, str]] = [(root, "")]
    while pending:
        node, at = pending.pop()
        for key, value in _members(node, remarks):
            if isinstance(value, Number):
                literals[pointer(at, key)] = value.literal
                node[key] = value.plain
            elif isinstance(value, str):
                if _UNSTORABLE.search(value):
                    node[key] = _storable(value, remarks)
            elif is_object(value) or is_array(value):
                pending.append((value, pointer(at, key)))
    return Tree(root, literals)


def _members(node: Any, remarks: Remarks) -> Iterable[tuple[Any, Any]]:
    if not is_object(node):
        return cast("Iterable[tuple[Any, Any]]", enumerate(node))
    if any(_UNSTORABLE.search(key) for key in node):
        renamed = [(_storable(key, remarks), value) for key, value in node.items()]
        node.clear()
        node.update(renamed)
    return node.items()


def _storable(text: str, remarks: Remarks) -> str:
    remarks.add("unstorable_character", "NUL characters or half surrogate pairs in the text were replaced by U+FFFD.")
    return _UNSTORABLE.sub("\ufffd", text)


def pointer(parent: str, key: str | int) -> str:
    """Return the JSON pointer (RFC 6901) of a member of `parent`."""
    return f"{parent}/{key.replace('~', '~0').replace('/', '~1') if isinstance(key, str) else key}"


def arm(tree: Tree) -> Object:
    """Return a copy of the tree in which numbers remember their form, except where they were edited since."""
    root: Object = msgspec.json.decode(msgspec.json.encode(tree.root))
    for at, literal in tree.literals.items():
        _arm_one(root, at, Number(literal))
    return root


def _arm_one(root: Object, at: str, number: Number) -> None:
    *parents, last = [step.replace("~1", "/").replace("~0", "~") for step in at.split("/")[1:]]
    node: Any = root
    for step in parents:
        node = _member(node, step)
    if _member(node, last) == number.plain:
        node[last if isinstance(node, dict) else int(last)] = number


def _member(node: Any, step: str) -> Any:
    if is_object(node):
        return node.get(step)
    if is_array(node) and step.isdigit() and int(step) < len(node):
        return node[int(step)]
    return None


def dump(root: Object, *, indent: int = 0, ascii_only: bool = False) -> bytes:
    """Write a tree, armed or settled, as JSON."""
    data = msgspec.json.encode(root, enc_hook=_written)
    if indent:
        data = msgspec.json.format(data, indent=indent)
    return _NON_ASCII.sub(_escaped, data.decode()).encode("ascii") if ascii_only else data


def _written(value: Any) -> msgspec.Raw:
    if isinstance(value, Number):
        return msgspec.Raw(value.literal.encode())
    raise NotImplementedError(type(value).__name__)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
