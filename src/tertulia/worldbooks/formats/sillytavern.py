"""SillyTavern's World Info files: `{entries: {"<uid>": {…}}}`; our own is the same with the book's settings."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from tertulia.worldbooks.entries import Entry, Json, decode_entry, encode_entry, read_json, read_text
from tertulia.worldbooks.formats.pieces import KEPT_UID, numbered, read_limits, rest_of, restored_uid
from tertulia.worldbooks.lorebook import Lorebook

OWN_SPEC: Final = "tertulia_world_book"
_KNOWN: Final = frozenset(
    ("spec", "name", "description", "scan_depth", "token_budget", "recursive_scanning", "extensions", "entries")
)


def read(root: Json) -> Lorebook:
    """Read a file; entries may also be a list, as very old files have them."""
    return Lorebook(
        name=read_text(root.get("name")),
        description=read_text(root.get("description")),
        **read_limits(root),
        extensions=read_json(root.get("extensions")),
        entries=numbered(_entries(root.get("entries"))),
        unknown=rest_of(root, _KNOWN),
    )


def _entries(raw: object) -> Iterator[Entry]:
    if isinstance(raw, Mapping):
        items = list(cast("Json", raw).items())
    else:
        items = [(str(index), entry) for index, entry in enumerate(cast("list[Any]", raw))]
    for index, (key, entry) in enumerate(items):
        if isinstance(entry, Mapping):
            number = int(key) if key.isascii() and key.isdecimal() and len(key) <= 9 else index
            yield restored_uid(decode_entry(cast("Json", entry), number))


def write(book: Lorebook) -> Json:
    """Write a file that SillyTavern opens: uids are numbers there, others are kept under an extension."""
    distinct = numbered(book.entries)
    taken = {entry.uid for entry in distinct if isinstance(entry.uid, int)}
    free = (number for number in itertools.count() if number not in taken)
    entries: Json = {}
    for entry in distinct:
        written = entry
        if not isinstance(entry.uid, int):
            extensions = {**entry.extensions, KEPT_UID: entry.uid}
            written = msgspec.structs.replace(entry, uid=next(free), extensions=extensions)
        entries[str(written.uid)] = encode_entry(written)
    return {**book.unknown, **_settings(book), "entries": entries}


def write_own(book: Lorebook) -> Json:
    """Write our own file: SillyTavern's, marked as ours."""
    return {"spec": OWN_SPEC, **write(book)}


def _settings(book: Lorebook) -> Json:
    settings: Json = {
        "name": book.name,
        "description": book.description,
        "scan_depth": book.scan_depth,
        "token_budget": book.token_budget,
        "recursive_scanning": book.recursive_scanning,
        "extensions": book.extensions,
    }
    return {name: value for name, value in settings.items() if value not in (None, "", {})}
