"""How large a request may be."""

from typing import Annotated, Final

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]

MIB: Final = 1024 * 1024


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of what a body may hold (HTTP contract, Sizes), by the names that operators set them by.

    `asgi.settings.RequestSettings` adds those of a request as bytes.
    """

    max_messages: Count = 2_000
    max_text_chars: Count = 1_000_000
    max_images: Count = 20
    max_image_bytes: Count = 20 * MIB
    max_tools: Count = 128
    max_json_depth: Count = 128
