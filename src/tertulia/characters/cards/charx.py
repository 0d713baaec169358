"""CHARX: a zip with `card.json` at its root and the files that the card names (V3; RisuAI)."""

import re
from functools import partial
from pathlib import PurePosixPath

from tertulia.characters.cards.archive import Archive, normalised
from tertulia.characters.cards.card import Card, Character, EmbeddedFile
from tertulia.characters.cards.errors import CardError, MissingCharacterDataError
from tertulia.characters.cards.fields import Asset
from tertulia.characters.cards.json_text import parse_json
from tertulia.characters.cards.limits import MAX_JSON_BYTES
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import Format, Shape, recognise

CARD = "card.json"
EMBEDDED = re.compile(r"(?:embed(?:ed|ded)://|__asset:)", re.IGNORECASE)


def read(archive: Archive, fallback_name: str, remarks: Remarks) -> Character:
    """Read a card and what lies beside it.

    Raises MissingCharacterDataError without a `card.json`, CardError for one that is no card, and as `Archive.read`.
    """
    if CARD not in archive.members:
        raise MissingCharacterDataError("The archive has no card.json at its root.", can_import_image_only=False)
    tree = parse_json(archive.read(CARD, cap=MAX_JSON_BYTES), remarks)
    shape = recognise(tree.root, remarks)
    if not isinstance(shape, Shape):
        raise CardError("not_a_card", "The archive's card.json is not a character card.", path=CARD)
    check_members(archive, remarks)
    card = Card(shape, tree, fallback_name)
    files, named = _named_files(archive, card.fields.assets, remarks)
    extra = tuple(name for name in archive.members if name not in named and name != CARD and not name.endswith("/"))
    if "module.risum" in extra:
        remarks.add("risu_module", "RisuAI's module.risum is kept as it is; the scripts and lore in it are not read.")
    remarks.extend(card.reading[1])
    portrait = main_icon(files)
    return Character(card, Format.CHARX, remarks.as_tuple(), portrait, files, extra)


def check_members(archive: Archive, remarks: Remarks) -> None:
    """Inflate every member once, keeping nothing: what lies is refused, what is damaged is noted."""
    for name, member in archive.members.items():
        if member.is_folder:
            continue
        try:
            if not archive.is_intact(name):
                remarks.add(
                    "bad_crc", f"bad crc of the archive's member {name[:100]}; its data was taken all the same."
                )
        except CardError as problem:
            if problem.hostile:
                raise
            remarks.add(
                "damaged_member", f"The archive's member {name[:100]} cannot be unpacked; it was kept as it is."
            )


def _named_files(
    archive: Archive, assets: tuple[Asset, ...], remarks: Remarks
) -> tuple[tuple[EmbeddedFile, ...], frozenset[str]]:
    files: list[EmbeddedFile] = []
    named: set[str] = set()
    for asset in assets:
        path = member_path(asset.uri)
        if not path:
            continue
        if path not in archive.members:
            remarks.add("missing_asset", f"The card names the file {path[:100]}, which is not in the archive.")
            continue
        named.add(path)
        files.append(member_file(archive, path, asset))
    return tuple(files), frozenset(named)


def member_path(uri: str) -> str:
    """Return the path in the archive that an asset's URI names, "" if it names none."""
    prefix = EMBEDDED.match(uri)
    return normalised(uri[prefix.end() :]) if prefix else ""


def member_file(archive: Archive, path: str, asset: Asset) -> EmbeddedFile:
    """Return an archive member as the file that an asset names."""
    ext = asset.ext if asset.ext != "unknown" else PurePosixPath(path).suffix.lower().lstrip(".")
    size = archive.members[path].size
    return EmbeddedFile(asset.uri, asset.type, asset.name, ext or "unknown", size, partial(archive.read, path))


def main_icon(files: tuple[EmbeddedFile, ...]) -> EmbeddedFile | None:
    """Return the portrait among files: the icon named `main`, else the first icon."""
    icons = [file for file in files if file.type == "icon"]
    return next((icon for icon in icons if icon.name == "main"), icons[0] if icons else None)
