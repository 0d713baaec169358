"""WEBP as a container (RFC 9649): RIFF chunks are walked and copied, pixels never decoded."""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from tertulia.characters.cards import exif
from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.limits import MAX_CHUNKS
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.tree import Tree

_HEAD = Struct("<4sI")
_EXIF_FLAG, _ALPHA_FLAG = 0x08, 0x10
_MAX_BLOCKS: Final = 4  # there should be one
_START_CODE: Final = b"\x9d\x01\x2a"
_PLAIN: Final = b"\x07\x10\x11\x11\x88\x88\xfe\x07\x00"  # every prefix code has one symbol: no bits a pixel


@dataclass(frozen=True, slots=True)
class Chunk:
    """One RIFF chunk without its padding."""

    kind: bytes
    body: memoryview


def is_webp(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a WEBP."""
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def walk(file: memoryview, remarks: Remarks) -> list[Chunk]:
    """Return the chunks; one that is cut off ends the walk with a warning. Raises CardError `too_many`."""
    chunks: list[Chunk] = []
    position = 12
    while position + 8 <= len(file):
        kind, size = _HEAD.unpack_from(file, position)
        if position + 8 + size > len(file):
            remarks.add("truncated", "The WEBP is cut off or damaged behind its last whole chunk.")
            break
        if len(chunks) >= MAX_CHUNKS:
            raise CardError("too_many", f"The WEBP has more than {MAX_CHUNKS} chunks; it is not read.")
        chunks.append(Chunk(kind, file[position + 8 : position + 8 + size]))
        position += 8 + size + size % 2
    return chunks


def read(file: memoryview, remarks: Remarks) -> Tree | None:
    """Return the card in the file's Exif data, or None. Raises CardError for what is hostile."""
    blocks = [chunk.body for chunk in walk(file, remarks) if chunk.kind == b"EXIF"]
    return next((tree for block in blocks[:_MAX_BLOCKS] if (tree := exif.card_in(block, remarks))), None)


def write(image: memoryview, card: bytes) -> bytes:
    """Return the picture with `card` (ASCII JSON) as its UserComment; all other chunks are copied as they are.

    Raises CardError `image_mismatch` for a file without a WEBP picture.
    """
    chunks = walk(image, Remarks())
    older = next((chunk.body for chunk in chunks if chunk.kind == b"EXIF"), None)
    extended = _extended_header(chunks)
    comment = Chunk(b"EXIF", memoryview(exif.with_user_comment(older, card)))
    kept = [chunk for chunk in chunks if chunk.kind not in (b"VP8X", b"EXIF")]
    metadata = [chunk for chunk in kept if chunk.kind == b"XMP "]  # Exif stands before it
    pictures = [chunk for chunk in kept if chunk.kind != b"XMP "]
    body = b"".join(map(_packed, (extended, *pictures, comment, *metadata)))
    return _HEAD.pack(b"RIFF", len(body) + 4) + b"WEBP" + body


def _packed(chunk: Chunk) -> bytes:
    return _HEAD.pack(chunk.kind, len(chunk.body)) + bytes(chunk.body) + b"\0" * (len(chunk.body) % 2)


def _extended_header(chunks: list[Chunk]) -> Chunk:
    for chunk in chunks:
        if chunk.kind == b"VP8X" and len(chunk.body) >= 10:
            return Chunk(b"VP8X", memoryview(bytes([chunk.body[0] | _EXIF_FLAG]) + bytes(chunk.body[1:])))
        if chunk.kind == b"VP8L" and len(chunk.body) >= 5 and chunk.body[0] == 0x2F:
            bits = int.from_bytes(chunk.body[1:5], "little")
            return _header(bits & 0x3FFF, bits >> 14 & 0x3FFF, alpha=bool(bits >> 28 & 1))
        if chunk.kind == b"VP8 " and len(chunk.body) >= 10 and bytes(chunk.body[3:6]) == _START_CODE:
            width, height = Struct("<HH").unpack_from(chunk.body, 6)
            return _header((width & 0x3FFF) - 1, (height & 0x3FFF) - 1, alpha=False)
    raise CardError("image_mismatch", "The picture is not a WEBP; have it converted first.")


def _header(width_less_1: int, height_less_1: int, *, alpha: bool) -> Chunk:
    sides = max(0, width_less_1).to_bytes(3, "little") + max(0, height_less_1).to_bytes(3, "little")
    flags = _EXIF_FLAG | (_ALPHA_FLAG if alpha else 0)
    return Chunk(b"VP8X", memoryview(bytes([flags, 0, 0, 0]) + sides))


def plain_picture(width: int = 400, height: int = 600) -> bytes:
    """Return a transparent picture, for a card that has none."""
    bits = (width - 1) | (height - 1) << 14 | 1 << 28
    packed = _packed(Chunk(b"VP8L", memoryview(b"\x2f" + bits.to_bytes(4, "little") + _PLAIN)))
    return _HEAD.pack(b"RIFF", len(packed) + 4) + b"WEBP" + packed
