"""How large a request may be."""

import msgspec


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of what a body may hold (HTTP contract, Sizes); bytes of a whole body are bounded where it is read."""

    max_messages: int = 2000
    max_text_characters: int = 1_000_000
    max_images: int = 20
    max_image_bytes: int = 20 * 1024 * 1024
    max_tools: int = 128
    max_json_depth: int = 128
