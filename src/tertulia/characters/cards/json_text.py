"""JSON as cards carry it: bounded before it is parsed, lenient where people wrote it by hand.

Strict JSON first; what fails is tried once more as JSON5 (comments, single quotes, bare keys, trailing commas), with
a warning. NaN and infinities are refused in both. Of a key that comes twice the last value counts, with a warning.
"""

import json
from itertools import accumulate
from typing import Any, NoReturn

from tertulia.characters.cards import json5
from tertulia.characters.cards.errors import CardError, CardTooLargeError
from tertulia.characters.cards.limits import (
    MAX_DEPTH,
    MAX_JSON_BYTES,
    MAX_LENIENT_CHARACTERS,
    MAX_STRUCTURE_BYTES,
    MAX_VALUES,
)
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.text import decode_text
from tertulia.characters.cards.tree import Object, Tree, is_object, read_integer, read_real, settle

_KEEP = b'[]{},"'
_DROP = bytes(set(range(256)) - set(_KEEP))
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
    check_shape(text.encode())
    value = _load(text, remarks)
    if not is_object(value):
        raise CardError("not_a_card", "The JSON is not an object; a card or a lorebook is one.")
    return settle(value, remarks)


def _refuse_size() -> NoReturn:
    raise CardTooLargeError("size", f"The card's JSON is over {MAX_JSON_BYTES // 2**20} MiB; take text out of it.")


def check_shape(data: bytes) -> None:
    """Refuse JSON that is too deep or has too many values, without parsing it."""
    bones = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _DROP)
    _check_depth(_outside_strings(bones[: MAX_DEPTH * 4]))  # the plain attack, before anything of its size is made
    if len(bones) > MAX_STRUCTURE_BYTES or bones.count(b'"') > 4 * MAX_VALUES:
        _refuse_number()
    bones = _outside_strings(bones)
    if bones.count(b"[") + bones.count(b"{") + bones.count(b",") > MAX_VALUES:
        _refuse_number()
    _check_depth(bones)


def _outside_strings(bones: bytes) -> bytes:
    return b"".join(bones.split(b'"')[::2])


def _check_depth(bones: bytes) -> None:
    brackets = bones.translate(None, b',"')
    if len(brackets) > MAX_DEPTH and max(accumulate(map(_STEP.__getitem__, brackets))) > MAX_DEPTH:
        _refuse_depth()


def _refuse_number() -> NoReturn:
    raise CardError("too_many", f"The JSON has more than {MAX_VALUES} values; no card or book needs that many.")


def _refuse_depth() -> NoReturn:
    raise CardError("too_deep", f"The JSON is nested deeper than {MAX_DEPTH} levels; it is not read (depth limit).")


def _load(text: str, remarks: Remarks) -> Any:
    try:
        return _strict(text, remarks)
    except json.JSONDecodeError as error:
        if len(text) > MAX_LENIENT_CHARACTERS:
            raise CardError("undecodable", f"Not readable as JSON: {error.msg} (line {error.lineno}).") from None
        return _lenient(text, error, remarks)


def _lenient(text: str, first: json.JSONDecodeError, remarks: Remarks) -> Any:
    try:
        value = _strict(json5.to_json(text), remarks)
    except (json.JSONDecodeError, json5.NotJson5Error):
        raise CardError("undecodable", f"Not readable as JSON: {first.msg} (line {first.lineno}).") from None
    remarks.add("lenient_json", f"The JSON is not valid ({first.msg}, line {first.lineno}) and was read leniently.")
    return value


def _strict(text: str, remarks: Remarks) -> Any:
    def pairs(members: list[tuple[str, Any]]) -> Object:
        made = dict(members)
        if len(made) != len(members):
            remarks.add("duplicate_key", "A JSON object has the same key twice; the last value counts.")
        return made

    try:
        return json.loads(
            text, object_pairs_hook=pairs, parse_int=read_integer, parse_float=read_real, parse_constant=_no_constant
        )
    except RecursionError:  # broken quoting may hide brackets from check_shape
        _refuse_depth()


def _no_constant(name: str) -> NoReturn:
    raise CardError("undecodable", f"{name} is not a JSON number; write null or a number.")
