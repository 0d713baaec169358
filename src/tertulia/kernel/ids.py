"""Ids: UUIDs of version 7 (RFC 9562), sixteen bytes inside, the usual text outside."""

import os
import time
import uuid
from typing import Final

from tertulia.kernel.errors import NotFound

ID_BYTES: Final = 16

_last = 0


def new_id() -> bytes:
    """Make an id that sorts after every id made before it by this process.

    48 bits of milliseconds, then a 12-bit fraction of the millisecond, then 62 random bits. Two calls within one
    fraction still grow, because the clock part is pushed on.
    """
    global _last  # noqa: PLW0603 - the order of ids is a property of the process
    ticks = time.time_ns() * 4096 // 1_000_000
    if ticks <= _last:
        ticks = _last + 1
    _last = ticks
    head = (ticks >> 12) << 16 | 0x7000 | (ticks & 0xFFF)
    tail = int.from_bytes(os.urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return (head << 64 | tail).to_bytes(ID_BYTES)


def id_text(value: bytes) -> str:
    """Write an id as it stands on the wire."""
    h = value.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def parse_id(text: str) -> bytes | None:
    """Read an id; None for what is not a UUID in its usual form of 36 characters."""
    if len(text) != 36:
        return None
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return value.bytes if str(value) == text.lower() else None


def path_id(text: str) -> bytes:
    """Read an id that stands in a path.

    Raises `NotFound` for what is not an id: nothing can have it.
    """
    value = parse_id(text)
    if value is None:
        raise NotFound(f"Nothing has the id {text[:64]!r}: ids are UUIDs.")
    return value
