"""Events as bytes on disk and between processes: one version byte, then MessagePack arrays.

A row holds consecutive entries. The version says how to read the rest; a version that this code does not know is an
error that names it, never a guess.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from tertulia.kernel.errors import TertuliaError
from tertulia.turn.events import Event

VERSION: Final = 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Event])


class UnreadableLog(TertuliaError):
    """Stored entries that this version cannot read: written by a newer one, or damaged."""

    code = "internal"


def encode_events(events: Sequence[Event]) -> bytes:
    """Write consecutive entries."""
    return bytes((VERSION,)) + _encoder.encode(events)


def decode_events(data: bytes) -> list[Event]:
    """Read what `encode_events` wrote.

    Raises `UnreadableLog` for another version or damaged bytes.
    """
    if not data or data[0] != VERSION:
        found = data[0] if data else "nothing"
        raise UnreadableLog(f"A stored event log has version {found}; this server reads version {VERSION}. Upgrade it.")
    try:
        return _decoder.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableLog("A stored event log is damaged; restore the database from a backup.") from error
