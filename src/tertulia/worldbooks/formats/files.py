"""Which program a lorebook is of, and the way to its reader and its writer."""

from collections.abc import Callable, Mapping
from typing import Final, cast

import msgspec

from tertulia.kernel.errors import Invalid
from tertulia.worldbooks.entries import Json
from tertulia.worldbooks.formats import agnai, character_book, novelai, risu, sillytavern
from tertulia.worldbooks.lorebook import Lorebook


class UnreadableLorebook(Invalid):
    """A file that is no lorebook of any program that we know."""


class Imported(msgspec.Struct, frozen=True):
    """A book that was read, of which program's format it was, and what the reader had to say."""

    book: Lorebook
    format: str
    warnings: tuple[str, ...] = ()


_WRITERS: Final[dict[str, Callable[[Lorebook], Json]]] = {
    "tertulia": sillytavern.write_own,
    "sillytavern": sillytavern.write,
    "character_book": character_book.write,
    "lorebook_v3": character_book.write_v3,
    "novelai": novelai.write,
    "agnai": agnai.write,
    "risu": risu.write,
}
FORMATS: Final = tuple(_WRITERS)
_MARKED: Final[tuple[tuple[str, Callable[[Json], bool], Callable[[Json], Lorebook]], ...]] = (
    ("lorebook_v3", character_book.is_v3, character_book.read_v3),
    ("novelai", lambda root: "lorebookVersion" in root, novelai.read),
    ("agnai", lambda root: root.get("kind") == "memory", agnai.read),
    ("risu", lambda root: root.get("type") == "risu", risu.read),
)


def write_lorebook(book: Lorebook, form: str) -> Json:
    """Write a book in one of `FORMATS`; raises Invalid for another name."""
    writer = _WRITERS.get(form)
    if writer is None:
        raise Invalid(f"unknown format {form!r}; one of {', '.join(FORMATS)}", path="format")
    return writer(book)


def read_lorebook(data: object, *, name: str = "") -> Imported:
    """Read a parsed JSON file; `name` is the book's when the file has none. Raises UnreadableLorebook."""
    if not isinstance(data, Mapping):
        raise UnreadableLorebook("a lorebook is a JSON object")
    root = cast("Json", data)
    form, book = _read(root)
    warnings = () if book.entries else ("the book has no entries",)
    return Imported(book if book.name else msgspec.structs.replace(book, name=name), form, warnings)


def _read(root: Json) -> tuple[str, Lorebook]:
    for form, is_one, read in _MARKED:
        if is_one(root):
            return form, read(root)
    embedded = _embedded(root)
    if embedded is not None:
        return "character_book", character_book.read(embedded)
    if not isinstance(root.get("entries"), Mapping | list):
        raise UnreadableLorebook("this is no lorebook of a known program: it has neither `entries` nor a known mark")
    if character_book.is_one(root):
        return "character_book", character_book.read(root)
    return "tertulia" if root.get("spec") == sillytavern.OWN_SPEC else "sillytavern", sillytavern.read(root)


def _embedded(root: Json) -> Json | None:
    """Give the book inside a card."""
    for holder in (root.get("data"), root):
        book = cast("Json", holder).get("character_book") if isinstance(holder, Mapping) else None
        if isinstance(book, Mapping):
            return cast("Json", book)
    return None
