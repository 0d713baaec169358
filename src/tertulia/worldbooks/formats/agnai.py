"""Agnai's memory books."""

from typing import Final

from tertulia.worldbooks.entries import Entry, Json, read_flag, read_json, read_number, read_text, read_texts
from tertulia.worldbooks.formats.pieces import keeping, kept, read_entries, rest_of
from tertulia.worldbooks.lorebook import Lorebook

_MAPPED: Final = frozenset(("name", "entry", "keywords", "weight", "enabled"))


def read(root: Json) -> Lorebook:
    """Read a memory book; the weight is the order."""
    return Lorebook(
        name=read_text(root.get("name")),
        description=read_text(root.get("description")),
        entries=read_entries(root.get("entries"), _read_entry),
        unknown=keeping("agnai", rest_of(root, ("kind", "name", "description", "entries"))),
    )


def _read_entry(raw: Json, index: int) -> Entry:
    comment = read_text(raw.get("name"))
    return Entry(
        uid=index,
        key=read_texts(raw.get("keywords")),
        comment=comment,
        add_memo=bool(comment),
        content=read_text(raw.get("entry")),
        selective=False,
        order=read_number(raw.get("weight"), 100),
        disable=not read_flag(raw.get("enabled"), default=True),
        extensions=keeping("agnai", rest_of(raw, _MAPPED)),
    )


def write(book: Lorebook) -> Json:
    """Write a memory book."""
    return {
        **read_json(book.unknown.get("tertulia/agnai")),
        "kind": "memory",
        "name": book.name,
        "description": book.description,
        "entries": [
            {
                **kept(entry, "agnai"),
                "name": entry.comment,
                "entry": entry.content,
                "keywords": list(entry.key),
                "weight": entry.order,
                "enabled": not entry.disable,
            }
            for entry in book.entries
        ],
    }
