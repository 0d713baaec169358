"""Cards in pictures: PNG and APNG by their text chunks, WEBP and JPEG by their Exif data."""

import re
from functools import partial
from typing import Final

from tertulia.characters.cards import jpeg, png, webp
from tertulia.characters.cards.card import EmbeddedFile
from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.fields import Asset
from tertulia.characters.cards.limits import MAX_MEMBER_BYTES
from tertulia.characters.cards.payload import decode_base64, parse_payload
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import Format, Found, recognise

_LOREBOOK_KEYWORD: Final = "naidata"
_ASSET_URI = re.compile(r"__asset:(.+)", re.IGNORECASE)


def format_of(file: memoryview) -> Format | None:
    """Return the picture format that the file begins as; an APNG is a PNG here."""
    head = bytes(file[:16])
    if head.startswith(png.SIGNATURE):
        return Format.PNG
    if webp.is_webp(head):
        return Format.WEBP
    return Format.JPEG if head.startswith(jpeg.SIGNATURE) else None


def extension_of(picture: bytes) -> str:
    """Return the extension of a picture's format, `unknown` for another."""
    found = format_of(memoryview(picture))
    return found.value if found else "unknown"


def find_card(file: memoryview, picture: Format, remarks: Remarks) -> Found | None:
    """Return the card or lorebook in a picture, or None. Raises CardError for one that is hostile or unreadable."""
    if picture is Format.PNG:
        return _find_in_png(file, remarks)
    tree = webp.read(file, remarks) if picture is Format.WEBP else jpeg.read(file, remarks)
    kind = recognise(tree.root, remarks) if tree else None
    return Found(kind, tree, picture) if kind and tree else None


def _find_in_png(file: memoryview, remarks: Remarks) -> Found | None:
    chunks = png.walk(file, remarks)
    picture = Format.APNG if png.is_animated(chunks) else Format.PNG
    texts = png.text_chunks(chunks)
    problem: CardError | None = None
    for keyword in (*png.CARD_KEYWORDS, _LOREBOOK_KEYWORD):
        if keyword not in texts:
            continue
        try:
            tree = parse_payload(png.text_of(texts[keyword], remarks), remarks, place=f"the chunk {keyword}")
        except CardError as reason:
            if reason.hostile:
                raise
            remarks.add("undecodable", f"The chunk {keyword} is undecodable; what stands beside it was taken.")
            problem = problem or reason
            continue
        if kind := recognise(tree.root, remarks):
            return Found(kind, tree, picture)
        problem = problem or CardError("not_a_card", f"The chunk {keyword} holds no character.", path=keyword)
    if problem is not None:
        raise problem
    return None


def portrait(file: memoryview, picture: Format) -> EmbeddedFile:
    """Return the picture itself as the card's portrait, card data and all."""
    ext = "png" if picture is Format.APNG else picture.value
    return EmbeddedFile("ccdefault:", "icon", "main", ext, len(file), partial(bytes, file))


def asset_files(file: memoryview, assets: tuple[Asset, ...], remarks: Remarks) -> tuple[EmbeddedFile, ...]:
    """Return the files that a PNG carries in text chunks for assets of its card (`__asset:N`)."""
    wanted = [(asset, match[1]) for asset in assets if (match := _ASSET_URI.fullmatch(asset.uri))]
    texts = png.text_chunks(png.walk(file, Remarks())) if wanted and format_of(file) is Format.PNG else {}
    files: list[EmbeddedFile] = []
    for asset, number in wanted:
        chunk = texts.get(f"{png.ASSET_KEYWORD}:{number.lower()}") or texts.get(png.ASSET_KEYWORD + number.lower())
        if chunk is None:
            remarks.add("missing_asset", f"The card names the file {asset.uri[:100]}, which is not in the picture.")
            continue
        size = len(chunk.body) * 3 // 4
        files.append(EmbeddedFile(asset.uri, asset.type, asset.name, asset.ext, size, partial(_asset_bytes, chunk)))
    return tuple(files)


def _asset_bytes(chunk: png.Chunk) -> bytes:
    return decode_base64(png.text_of(chunk, Remarks()), place=f"the chunk {chunk.keyword}", limit=MAX_MEMBER_BYTES)
