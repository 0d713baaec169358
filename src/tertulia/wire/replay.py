"""What must go back to a provider as it came, on its way through a client that does not know it.

Signatures, encrypted thinking and thought signatures of tool calls belong to one provider's wire. Every dialect has one
place for a string that clients keep and send back: OpenRouter's `reasoning.encrypted` entries, the Responses API's
`encrypted_content`, Anthropic's `signature` and `redacted_thinking`. A piece travels there, packed, whatever it is.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tertulia.kernel.errors import Invalid

PREFIX: Final = "tertulia:"


class Piece(msgspec.Struct, frozen=True, omit_defaults=True):
    """One opaque thing, `{"wire", "data"}`: of a part of the answer, or of the tool call whose id is `call`."""

    opaque: dict[str, Any]
    part: int = 0
    call: str | None = None


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Piece).decode


def pack(piece: Piece) -> str:
    """Write a piece as a string."""
    return PREFIX + urlsafe_b64encode(_encode(piece)).decode()


def unpack(text: str, path: str) -> Piece | None:
    """Read a string that a client sent back; None for one that is not ours.

    Raises `Invalid` at `path` for one of ours that was cut or changed.
    """
    if not text.startswith(PREFIX):
        return None
    try:
        return _decode(urlsafe_b64decode(text[len(PREFIX) :]))
    except (binascii.Error, ValueError, RecursionError):  # of base64, of UTF-8 and of msgspec
        raise Invalid(f"`{path}` must come back exactly as it was given, or be left out.", path=path) from None


def piece_of(kept: Mapping[str, Any]) -> Piece:
    """Take apart what a fold keeps: the opaque thing with its `part` among its fields."""
    opaque = dict(kept)
    part = opaque.pop("part", 0)
    return Piece(opaque, part)


def kept_of(piece: Piece) -> dict[str, Any]:
    """Put a piece together as a fold keeps it."""
    return {"part": piece.part, **piece.opaque}
