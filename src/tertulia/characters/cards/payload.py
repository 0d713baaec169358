"""The card inside an image: base64 of UTF-8 JSON, or what other tools made of that."""

import binascii

from tertulia.characters.cards.errors import CardError, CardTooLargeError
from tertulia.characters.cards.json_text import parse_json
from tertulia.characters.cards.limits import MAX_JSON_BYTES, MAX_PAYLOAD_BYTES
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.tree import Tree

_BLANKS = b" \t\r\n\0"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def parse_payload(value: bytes, remarks: Remarks, *, place: str) -> Tree:
    """Parse the text that `place` (a chunk, a tag) holds.

    Raises CardTooLargeError, and CardError: `encrypted`, `undecodable`, and what `parse_json` raises.
    """
    if len(value) > MAX_PAYLOAD_BYTES:
        raise CardTooLargeError(
            "size", f"The text in {place} is over {MAX_PAYLOAD_BYTES // 2**20} MiB; it is not read."
        )
    value = value.strip(_BLANKS)
    if value.startswith(b"rcc||"):
        raise CardError("encrypted", "The card is encrypted by RisuAI; export it there without encryption.")
    if value.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        remarks.add("not_base64", f"The card in {place} is plain JSON, not base64; it was read as it is.")
        return parse_json(value, remarks)
    return parse_json(decode_base64(value, place=place, limit=MAX_JSON_BYTES), remarks)


def decode_base64(value: bytes, *, place: str, limit: int) -> bytes:
    """Decode base64 of either alphabet, with or without padding and white space.

    Raises CardTooLargeError over `limit` bytes, CardError `undecodable` for anything else in it.
    """
    bare = value.translate(_URL_SAFE, _BLANKS).rstrip(b"=")
    if len(bare) // 4 * 3 > limit:
        raise CardTooLargeError("size", f"The data in {place} is over {limit} bytes; it is not read.")
    if len(bare) % 4 == 1 or bare.translate(None, _ALPHABET):
        raise CardError("undecodable", f"The data in {place} is undecodable: neither base64 nor JSON.")
    return binascii.a2b_base64(bare + b"=" * (-len(bare) % 4))
