"""The way in: a file's bytes become a character or a lorebook, or a typed refusal.

What a file is, its content says; the name's extension decides only between kinds of text and where a picture is the
prefix of an archive. Nothing is fetched, nothing written, no pixel decoded.
"""

from pathlib import PurePosixPath
from typing import Final

from tertulia.characters.cards import byaf, charx, pictures
from tertulia.characters.cards.archive import END_SIGNATURE, Archive, find_end, open_archive
from tertulia.characters.cards.card import Card, Character, Imported, Lorebook
from tertulia.characters.cards.errors import (
    CardError,
    CardTooLargeError,
    MissingCharacterDataError,
    UnknownCardFormatError,
)
from tertulia.characters.cards.json_text import parse_json_text
from tertulia.characters.cards.limits import DEFAULT_LIMITS, MAX_JSON_BYTES, MIB, FileLimits
from tertulia.characters.cards.prose import blank_card, character_of_prose, find_in_markdown, tried_json
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import Format, Found, LorebookKind, Shape, lorebook_name, recognise
from tertulia.characters.cards.text import decode_text
from tertulia.characters.cards.tree import Tree, settle
from tertulia.characters.cards.yaml_text import parse_yaml

Source = bytes | bytearray | memoryview

EXTENSIONS: Final = frozenset(
    {"png", "apng", "jpg", "jpeg", "webp", "json", "yaml", "yml", "txt", "md", "charx", "byaf", "lorebook"}
)
_ARCHIVES: Final = frozenset({"charx", "byaf"})
_JSON: Final = frozenset({"json", "lorebook"})
_YAML: Final = frozenset({"yaml", "yml"})
_PROSE: Final = frozenset({"md", "txt"})
_ZIP: Final = (b"PK\x03\x04", END_SIGNATURE)


def read_card(data: Source, file_name: str, limits: FileLimits = DEFAULT_LIMITS) -> Imported:
    """Read a card or a lorebook from a file.

    `file_name` names a card that has no name of its own. A memory-mapped file may be passed as a memoryview; the
    files of the result read from `data` as long as it lives.

    Raises CardError (see its reasons), CardTooLargeError over a limit, MissingCharacterDataError for a file without a
    character, UnknownCardFormatError for content that no format here has.
    """
    file = memoryview(data).cast("B")
    ext, stem = _name_parts(file_name)
    archived = ext in _ARCHIVES and find_end(file) is not None
    if archived or bytes(file[:4]) in _ZIP:
        _check_size(file, limits.archive_bytes)
        return _read_archive(file, ext, stem)
    picture = pictures.format_of(file)
    if picture is not None:
        _check_size(file, limits.image_bytes)
        return _read_picture(file, picture, stem)
    if ext in _ARCHIVES:
        raise CardError("truncated", "The file is no zip archive, or it is cut off.")
    _check_size(file, MAX_JSON_BYTES)
    return _read_text(file, ext, stem)


def _name_parts(file_name: str) -> tuple[str, str]:
    path = PurePosixPath(file_name.replace("\\", "/"))
    return path.suffix.lower().lstrip("."), path.stem.strip()


def _check_size(file: memoryview, limit: int) -> None:
    if len(file) > limit:
        raise CardTooLargeError("size", f"The file is over {limit / MIB:.0f} MiB, the limit for its kind.")


def image_only(data: Source, file_name: str, limits: FileLimits = DEFAULT_LIMITS) -> Character:
    """Make a card of a picture that has none: named after its file, all else empty. Raises as `read_card`."""
    file = memoryview(data).cast("B")
    picture = pictures.format_of(file)
    if picture is None:
        raise UnknownCardFormatError("The file is no PNG, WEBP or JPEG picture.")
    _check_size(file, limits.image_bytes)
    _, stem = _name_parts(file_name)
    remarks = Remarks()
    remarks.add("image_only", "The picture has no card in it; a character with its name was made.")
    card = Card(Shape.V1, Tree(blank_card(stem)), stem)
    return Character(card, picture, remarks.as_tuple(), pictures.portrait(file, picture))


def _read_archive(file: memoryview, ext: str, stem: str) -> Imported:
    archive = open_archive(file)
    if byaf.MANIFEST in archive.members and (ext == "byaf" or charx.CARD not in archive.members):
        return byaf.read(archive, stem, Remarks())
    if ext == "byaf":
        raise CardError("not_a_card", "The archive has no manifest.json at its root.", path=byaf.MANIFEST)
    return charx.read(archive, stem, Remarks())


def _read_picture(file: memoryview, picture: Format, stem: str) -> Imported:
    remarks = Remarks()
    found = pictures.find_card(file, picture, remarks)
    if found is not None:
        return _outcome(found, stem, remarks, file)
    archive = _archive_behind(file)
    if archive is not None and charx.CARD in archive.members:
        return charx.read(archive, stem, remarks)
    if any(warning.code == "truncated" for warning in remarks.as_tuple()):
        raise CardError("truncated", "The picture is cut off or damaged, and no card data is in what is left of it.")
    raise MissingCharacterDataError("The picture has no card data in it.", can_import_image_only=True)


def _archive_behind(file: memoryview) -> Archive | None:
    """Return the archive that a picture is the prefix of, if it is one; pixels may look like its end."""
    try:
        return open_archive(file) if find_end(file) is not None else None
    except CardError as problem:
        if problem.hostile:
            raise
        return None


def _read_text(data: memoryview, ext: str, stem: str) -> Imported:
    remarks = Remarks()
    text = decode_text(data, remarks)
    if not text.strip():
        raise MissingCharacterDataError("The file is empty.", can_import_image_only=False)
    found = _find_in_text(text, ext, remarks)
    if found is None and ext in _PROSE:
        form = Format.MD if ext == "md" else Format.TXT
        tree = settle(character_of_prose(text, stem or "Unnamed", remarks), remarks)
        found = Found(Shape.V1, tree, form)
    if found is None:
        raise MissingCharacterDataError("The file has no character and no lorebook in it.", can_import_image_only=False)
    return _outcome(found, stem, remarks)


def _find_in_text(text: str, ext: str, remarks: Remarks) -> Found | None:
    is_object = text.lstrip().startswith("{")
    if ext in _JSON or (is_object and ext not in EXTENSIONS):
        return _found(parse_json_text(text, remarks), Format.JSON, remarks)
    if is_object and (tree := tried_json(text, remarks)) is not None:
        return _found(tree, Format.YAML if ext in _YAML else Format.JSON, remarks)
    if ext in _YAML:
        return _found(parse_yaml(text, remarks), Format.YAML, remarks)
    if ext == "md" or (text.startswith("---") and ext not in EXTENSIONS):
        return find_in_markdown(text, remarks)
    if ext not in _PROSE:
        raise UnknownCardFormatError(f"The file is no card; these kinds are read: {', '.join(sorted(EXTENSIONS))}.")
    return None


def _found(tree: Tree, form: Format, remarks: Remarks) -> Found | None:
    kind = recognise(tree.root, remarks)
    return Found(kind, tree, form) if kind else None


def _outcome(found: Found, stem: str, remarks: Remarks, picture: memoryview | None = None) -> Imported:
    if isinstance(found.kind, LorebookKind):
        name = lorebook_name(found.kind, found.tree.root) or stem or "Lorebook"
        return Lorebook(found.kind, name, found.tree.root, found.format, remarks.as_tuple())
    card = Card(found.kind, found.tree, stem, found.prose)
    remarks.extend(card.reading[1])
    if picture is None:
        return Character(card, found.format, remarks.as_tuple())
    files = pictures.asset_files(picture, card.fields.assets, remarks)
    return Character(card, found.format, remarks.as_tuple(), pictures.portrait(picture, found.format), files)
