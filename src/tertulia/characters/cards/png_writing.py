"""Writes a card into a PNG: `chara` for V2's readers, `ccv3` for V3's, its files in text chunks beside them."""

import base64
import re
from typing import Any

from tertulia.characters.cards import png
from tertulia.characters.cards.card import Card, EmbeddedFile
from tertulia.characters.cards.charx import EMBEDDED, main_icon
from tertulia.characters.cards.conversion import Spec, as_v2, as_v3, distinct, relocate
from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.limits import MAX_ASSET_CHUNKS_BYTES
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import SPEC_V2, Shape
from tertulia.characters.cards.tree import Object, arm, dump

_NUMBER = re.compile(re.escape(png.ASSET_KEYWORD) + r":?([0-9]{1,9})")


def write(
    card: Card, spec: Spec | None, portrait: bytes | None, files: tuple[EmbeddedFile, ...], remarks: Remarks
) -> bytes:
    """Return the portrait with the card in it; of its chunks only the card's are replaced.

    Raises CardError `image_mismatch` for a portrait that is no PNG.
    """
    image = memoryview(portrait or _own_icon(files) or _plain(remarks))
    if bytes(image[: len(png.SIGNATURE)]) != png.SIGNATURE:
        raise CardError("image_mismatch", "The picture is not a PNG; have it converted first.")
    chara = arm(card.tree) if spec is None and _speaks_for_itself(card) else as_v2(card).tree
    if spec is Spec.V2:
        return png.write(image, [("chara", _encoded(chara))])
    ccv3 = arm(card.tree) if spec is None and card.shape is Shape.V3 else as_v3(card)
    texts = _file_texts(ccv3, image, files, remarks)
    return png.write(image, [*texts, ("chara", _encoded(chara)), ("ccv3", _encoded(ccv3))])


def _speaks_for_itself(card: Card) -> bool:
    return card.shape is Shape.V1 or (card.shape is Shape.V2 and card.tree.root.get("spec") == SPEC_V2)


def _own_icon(files: tuple[EmbeddedFile, ...]) -> bytes | None:
    icon = main_icon(files)
    return icon.load() if icon is not None and icon.ext in {"png", "apng"} else None


def _plain(remarks: Remarks) -> bytes:
    remarks.add("plain_picture", "The card has no picture; a plain one carries it.")
    return png.plain_picture()


def _encoded(tree: Object) -> bytes:
    return base64.b64encode(dump(tree))


def _file_texts(
    tree: Object, image: memoryview, files: tuple[EmbeddedFile, ...], remarks: Remarks
) -> list[tuple[str, bytes]]:
    """Return the text chunks of files that the picture does not carry yet, and point the tree's assets at them."""
    present = png.text_chunks(png.walk(image, Remarks()))
    taken = {int(match[1]) for keyword in present if (match := _NUMBER.fullmatch(keyword))}
    moved = [file for file in distinct(files) if EMBEDDED.match(file.uri) and not _is_carried(file, present)]
    if sum(file.size for file in moved) > MAX_ASSET_CHUNKS_BYTES:
        remarks.add("assets_left_out", "The card's files are too large for a PNG; CHARX carries them.")
        return []
    texts: list[tuple[str, bytes]] = []
    for file in moved:
        if file.type == "icon" and file.name == "main":
            relocate(tree, file, "ccdefault:")
            continue
        number = max(taken, default=-1) + 1
        taken.add(number)
        relocate(tree, file, f"__asset:{number}")
        texts.append((f"{png.ASSET_KEYWORD}:{number}", base64.b64encode(file.load())))
    return texts


def _is_carried(file: EmbeddedFile, present: dict[str, Any]) -> bool:
    number = file.uri.rpartition(":")[2].lower()
    return f"{png.ASSET_KEYWORD}:{number}" in present or png.ASSET_KEYWORD + number in present
