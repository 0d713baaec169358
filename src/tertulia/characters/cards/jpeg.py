"""JPEG as a container (ITU-T T.81, Annex B): only the segments before the picture, for their Exif data."""

from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import Final

from tertulia.characters.cards import exif
from tertulia.characters.cards.limits import MAX_CHUNKS
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.tree import Tree

SIGNATURE: Final = b"\xff\xd8\xff"
_LENGTH = Struct(">H")
_APP1, _START_OF_SCAN, _END = 0xE1, 0xDA, 0xD9
_MAX_BLOCKS: Final = 4  # there should be one
_ALONE = frozenset({0x01, 0xFF, *range(0xD0, 0xD9)})  # markers without a length, and fill bytes


def read(file: memoryview, remarks: Remarks) -> Tree | None:
    """Return the card in the file's Exif data, or None. Raises CardError for what is hostile."""
    blocks = islice(_exif_segments(file), _MAX_BLOCKS)
    return next((tree for block in blocks if (tree := exif.card_in(block, remarks))), None)


def _exif_segments(file: memoryview) -> Iterator[memoryview]:
    position = 2
    for _ in range(MAX_CHUNKS):
        if position + 4 > len(file) or file[position] != 0xFF:
            return
        marker = file[position + 1]
        if marker in _ALONE:
            position += 1 if marker == 0xFF else 2
            continue
        end = position + 2 + _LENGTH.unpack_from(file, position + 2)[0]
        if marker in (_START_OF_SCAN, _END) or end > len(file):
            return
        segment = file[position + 4 : end]
        if marker == _APP1 and bytes(segment[:6]) == b"Exif\0\0":
            yield segment
        position = max(end, position + 4)
