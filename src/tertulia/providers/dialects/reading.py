"""What all dialects share in reading JSON that others wrote: strict and quick first, patient when that fails."""

import json
import re
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from math import isfinite
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta

from tertulia.providers.failures import unreadable
from tertulia.providers.port import UpstreamFault

Json = dict[str, Any]

_LARGEST: Final = 2**53
_MOST_PLACES: Final = 1023
Place = Annotated[int, Meta(ge=0, le=_MOST_PLACES)]
"""The index of a choice, a part or a call: whoever sends more means harm."""
Count = Annotated[int, Meta(ge=0, le=_LARGEST)]
"""A number of tokens."""
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_encoder: Final = msgspec.json.Encoder()
_packer: Final = msgspec.msgpack.Encoder()


def without_nul(data: bytes) -> bytes:
    """Give JSON, before it is decoded, with U+FFFD for every NUL in its texts: a text column cannot hold one."""
    if b"\\u0000" in data:
        data = _NUL.sub(rb"\1\\ufffd", data)
    return data.replace(b"\0", b"\xef\xbf\xbd") if b"\0" in data else data


def read_json(data: bytes) -> Any:
    """Decode JSON, strictly and then patiently.

    Raises `UpstreamFault` (`upstream_invalid`) for what is not JSON at all.
    """
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return patient_json(data)


def patient_json(data: bytes) -> Any:
    """Decode JSON that a strict reader refused: bytes that are not UTF-8 and halves of surrogate pairs become U+FFFD.

    Raises `UpstreamFault` (`upstream_invalid`) for what is not JSON at all.
    """
    try:
        return _mended(json.loads(data.decode(errors="replace"), parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        raise UpstreamFault(unreadable("it is not JSON.")) from None


def _mended(value: Any) -> Any:
    """Replace what UTF-8 or MessagePack cannot hold."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in cast("Json", value).items()}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return None if isinstance(value, float) and not isfinite(value) else value


def storable(data: Json) -> Json:
    """Give an object as a log can hold it: integers beyond 64 bits become text."""
    try:
        _packer.encode(data)
    except OverflowError:
        return _mended(data)
    return data


def place_of(value: Any) -> int | None:
    """Give an index, or None for what is none."""
    is_place = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_PLACES
    return value if is_place else None


def json_text(value: Any) -> str:
    """Write a value as JSON text."""
    try:
        return _encoder.encode(value).decode()
    except OverflowError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def made_id(*facts: Any) -> str:
    """Make the id of a call that came without one: from the call itself, so that the same bytes give the same id."""
    return f"call_{blake2b(json_text(facts).encode(), digest_size=12).hexdigest()}"


def text_of(value: Any) -> str | None:
    """Give a string, or None for anything else."""
    return value if isinstance(value, str) else None


def dict_of(value: Any) -> Json:
    """Give an object, or an empty one for anything else."""
    return cast("Json", value) if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Give a list, or an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def dicts_of(value: Any) -> list[Json]:
    """Give the objects of a list."""
    return [cast("Json", item) for item in list_of(value) if isinstance(item, dict)]


def count_of(fields: Json, *names: str) -> int | None:
    """Give the first of these fields that is a number, as a count of at least 0."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
            return max(int(value), 0)
    return None


def cost_of(value: Any) -> str | None:
    """Give an amount as an exact decimal string; None for what is not a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return format(amount, "f") if amount.is_finite() and amount >= 0 else None
