"""How large a request may be."""

from typing import Final

import msgspec

from tertulia.kernel.bounds import AtLeastOne

MIB: Final = 1024 * 1024


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of what a body may hold (HTTP contract, Sizes), by the names that operators set them by.

    `asgi.settings.RequestSettings` adds those of a request as bytes.
    """

    max_messages: AtLeastOne = 2_000
    max_text_chars: AtLeastOne = 1_000_000
    max_images: AtLeastOne = 20
    max_image_bytes: AtLeastOne = 20 * MIB
    max_tools: AtLeastOne = 128
    max_json_depth: AtLeastOne = 128
