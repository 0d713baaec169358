"""Data URLs (RFC 2397), as images and files come in messages."""

import base64
import binascii
from urllib.parse import unquote_to_bytes

import msgspec

from tertulia.kernel.errors import Invalid


class Data(msgspec.Struct, frozen=True):
    """What a data URL holds: its media type, and its bytes as base64 text."""

    media_type: str
    base64: str

    def text(self) -> str:
        """Give the bytes as text; what is not UTF-8 becomes U+FFFD."""
        return base64.b64decode(self.base64).decode(errors="replace")


def read_data_url(url: str) -> Data | None:
    """Read a data URL; None for any other address.

    Raises `Invalid` for one that is broken.
    """
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    if not comma:
        raise Invalid("A data URL in the messages has no comma between its type and its data.")
    media_type, *flags = head.split(";")
    if "base64" not in {flag.strip().lower() for flag in flags}:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    elif not _is_base64(data):
        raise Invalid("A data URL in the messages says base64 and is not.")
    return Data(media_type.strip().lower() or "text/plain", data)


def _is_base64(data: str) -> bool:
    try:
        binascii.a2b_base64(data.encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        return False
    return True
