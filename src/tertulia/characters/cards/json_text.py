"""JSON as cards carry it: bounded before it is parsed, lenient where people wrote it by hand.

Strict JSON first; what fails is tried once more as JSON5 (comments, single quotes, bare keys, trailing commas), with
a warning. NaN and infinities are refused in both. Of a key that comes twice the last value counts, with a warning.
"""

import json
import re
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, Final, NoReturn

from tertulia.characters.cards import json5
from tertulia.characters.cards.errors import CardError, CardTooLargeError
from tertulia.characters.cards.limits import (
    KIB,
    MAX_DEPTH,
    MAX_JSON_BYTES,
    MAX_LENIENT_CHARACTERS,
    MAX_STRUCTURE_BYTES,
    MAX_VALUES,
)
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.text import decode_text
from tertulia.characters.cards.tree import Number, Object, Tree, is_object, read_integer, read_real, settle

_KEEP = b'[]{}:,"'
_DROP = bytes(set(range(256)) - set(_KEEP))
_DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_LONG: Final = b"0" * 19  # digits that a 64-bit integer may not hold
_SLICE: Final = 256 * KIB
_UNSTORABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # an escaped NUL, or half of a surrogate pair
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def parse_json(data: bytes, remarks: Remarks) -> Tree:
    """Parse one JSON object.

    Raises CardTooLargeError over 16 MiB, and CardError: `too_deep` beyond 128 levels, `too_many` values, `undecodable`.
    """
    if len(data) > MAX_JSON_BYTES:
        _refuse_size()
    return parse_json_text(decode_text(memoryview(data), remarks), remarks)


def parse_json_text(text: str, remarks: Remarks) -> Tree:
    """Parse one JSON object from text. Raises as `parse_json`."""
    if len(text) > MAX_JSON_BYTES:
        _refuse_size()
    try:
        return _strict(text, remarks)
    except json.JSONDecodeError as error:
        if len(text) > MAX_LENIENT_CHARACTERS:
            raise _unreadable(error) from None
        return _lenient(text, error, remarks)


def _lenient(text: str, first: json.JSONDecodeError, remarks: Remarks) -> Tree:
    try:
        tree = _strict(json5.to_json(text), remarks)
    except (json.JSONDecodeError, json5.NotJson5Error):
        raise _unreadable(first) from None
    remarks.add("lenient_json", f"The JSON is not valid ({first.msg}, line {first.lineno}) and was read leniently.")
    return tree


def _unreadable(error: json.JSONDecodeError) -> CardError:
    return CardError("undecodable", f"Not readable as JSON: {error.msg} (line {error.lineno}).")


def _strict(text: str, remarks: Remarks) -> Tree:
    data = text.encode()
    members = check_shape(data)
    odd_integers = "-0" in text or _LONG in data.translate(_DIGITS)  # or what looks so, in a string
    odd: list[int | float] = []

    def number(read: Callable[[str], int | float]) -> Callable[[str], int | float]:
        def noted(literal: str) -> int | float:
            value = read(literal)
            if isinstance(value, Number):
                odd.append(value)
            return value

        return noted

    integers = number(read_integer) if odd_integers else None
    try:
        root = json.loads(text, parse_int=integers, parse_float=number(read_real), parse_constant=_no_constant)
    except RecursionError:  # broken quoting may hide brackets from check_shape
        _refuse_depth()
    if not is_object(root):
        raise CardError("not_a_card", "The JSON is not an object; a card or a lorebook is one.")
    if _count_members(root) < members:
        remarks.add("duplicate_key", "A JSON object has the same key twice; the last value counts.")
    return settle(root, remarks) if odd or _UNSTORABLE.search(text) else Tree(root)


def _count_members(root: Object) -> int:
    count = 0
    pending: list[Any] = [root]
    while pending:
        node = pending.pop()
        values: Iterable[Any] = node
        if is_object(node):
            count += len(node)
            values = node.values()
        pending += [value for value in values if type(value) is dict or type(value) is list]
    return count


def _no_constant(name: str) -> NoReturn:
    raise CardError("undecodable", f"{name} is not a JSON number; write null or a number.")


def check_shape(data: bytes) -> int:
    """Refuse JSON that is too deep or has too many values, without parsing it; return how many members it has."""
    bones = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _DROP)
    _check_depth(_outside_strings(bones[: MAX_DEPTH * 8]))  # the plain attack, before anything of its size is made
    if len(bones) > MAX_STRUCTURE_BYTES or bones.count(b'"') > 4 * MAX_VALUES:
        _refuse_number()
    bones = _outside_strings(bones)
    if bones.count(b"[") + bones.count(b"{") + bones.count(b",") > MAX_VALUES:
        _refuse_number()
    _check_depth(bones)
    return bones.count(b":")


def _outside_strings(bones: bytes) -> bytes:
    kept: list[bytes] = []
    inside = 0
    for start in range(0, len(bones), _SLICE):  # a list of all parts would weigh many times the text
        parts = bones[start : start + _SLICE].split(b'"')
        kept.append(b"".join(parts[inside::2]))
        inside ^= (len(parts) - 1) & 1
    return b"".join(kept)


def _check_depth(bones: bytes) -> None:
    brackets = bones.translate(None, b':,"')
    if len(brackets) > MAX_DEPTH and max(accumulate(map(_STEP.__getitem__, brackets))) > MAX_DEPTH:
        _refuse_depth()


def _refuse_size() -> NoReturn:
    raise CardTooLargeError("size", f"The card's JSON is over {MAX_JSON_BYTES // 2**20} MiB; take text out of it.")


def _refuse_depth() -> NoReturn:
    raise CardError("too_deep", f"The JSON is nested deeper than {MAX_DEPTH} levels; it is not read (depth limit).")


def _refuse_number() -> NoReturn:
    raise CardError("too_many", f"The JSON has more than {MAX_VALUES} values; no card or book needs that many.")
