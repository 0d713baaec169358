"""The bounds within which a card file is read ("Compatibility specification, Hazards and limits").

They hold whatever a header claims: every reader checks before it allocates, and while it inflates.
"""

from typing import Final

import msgspec

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_JSON_BYTES: Final = 16 * MIB
MAX_PAYLOAD_BYTES: Final = 24 * MIB  # base64 of a card in a text chunk
MAX_LENIENT_CHARACTERS: Final = 2 * MIB  # JSON5 is read by a slower scanner
MAX_LENIENT_TOKENS: Final = 100_000
MAX_DEPTH: Final = 128
MAX_VALUES: Final = 500_000  # values of one JSON tree
MAX_YAML_VALUES: Final = 100_000  # reading YAML costs five times as much
MAX_STRUCTURE_BYTES: Final = 4 * MIB  # brackets, quotes and commas of one JSON text
MAX_ALIASED_NODES: Final = 10_000  # nodes that YAML aliases stand for, all together

MAX_CHUNKS: Final = 32_768  # of a PNG or RIFF file, segments of a JPEG
MAX_INFLATED_TEXT: Final = 16 * MIB  # one compressed text chunk

MAX_MEMBERS: Final = 2_000
MAX_MEMBER_BYTES: Final = 64 * MIB
MAX_ARCHIVE_INFLATED: Final = 512 * MIB
MAX_RATIO: Final = 200  # inflated to compressed, beyond RATIO_FREE_BYTES
RATIO_FREE_BYTES: Final = 1 * MIB
MAX_ASSET_CHUNKS_BYTES: Final = 24 * MIB  # files carried along in the text chunks of an exported PNG

MAX_REMARKS: Final = 100


class FileLimits(msgspec.Struct, frozen=True):
    """What a whole file may weigh, in bytes (settings `[characters]`)."""

    image_bytes: int = 32 * MIB
    archive_bytes: int = 256 * MIB


DEFAULT_LIMITS: Final = FileLimits()
