"""Text as people save it: UTF-8 with or without a byte order mark, UTF-16, or an old Windows code page."""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.remarks import Remarks

_REPLACEMENT = "\ufffd"


def decode_text(data: memoryview, remarks: Remarks) -> str:
    """Return the text without its byte order mark. What is not UTF-8 is read as best it can be, with a warning.

    Raises CardError `undecodable` for what is no text at all.
    """
    head = bytes(data[:3])
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return str(data, "utf-16", "replace")
    if head == BOM_UTF8:
        data = data[len(BOM_UTF8) :]
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        return _guess(bytes(data), remarks)


def _guess(data: bytes, remarks: Remarks) -> str:
    if b"\0" in data:
        raise CardError("undecodable", "The file is not text; give it the extension of its real format.")
    text = data.decode(errors="replace")
    foreign = len(data.translate(None, bytes(range(128))))
    if text.count(_REPLACEMENT) * 2 > foreign:  # hardly a sequence was right: not damaged UTF-8, another encoding
        remarks.add("not_utf8", "The text is not UTF-8 and was read as Windows-1252.")
        return data.decode("cp1252", errors="replace")
    remarks.add("not_utf8", "The text is not valid UTF-8; damaged characters were replaced by U+FFFD.")
    return text
