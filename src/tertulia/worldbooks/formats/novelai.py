"""NovelAI's lorebooks (`.lorebook`). What this program has no use for is kept for the way back."""

from typing import Final

from tertulia.worldbooks.entries import Entry, Json, read_flag, read_json, read_number, read_text, read_texts
from tertulia.worldbooks.formats.pieces import keeping, kept, read_entries, rest_of
from tertulia.worldbooks.lorebook import Lorebook

_VERSION: Final = 5
_MAPPED: Final = frozenset(("text", "keys", "displayName", "enabled", "forceActivation"))


def read(root: Json) -> Lorebook:
    """Read a lorebook; the priority in the budget is the order, 0 where there is none."""
    return Lorebook(
        name=read_text(root.get("name")),
        entries=read_entries(root.get("entries"), _read_entry),
        unknown=keeping("novelai", rest_of(root, ("entries", "name"))),
    )


def _read_entry(raw: Json, index: int) -> Entry:
    comment = read_text(raw.get("displayName"))
    return Entry(
        uid=index,
        key=read_texts(raw.get("keys")),
        comment=comment,
        add_memo=bool(comment),
        content=read_text(raw.get("text")),
        constant=read_flag(raw.get("forceActivation")),
        selective=False,
        order=read_number(read_json(raw.get("contextConfig")).get("budgetPriority"), 0),
        disable=not read_flag(raw.get("enabled"), default=True),
        extensions=keeping("novelai", rest_of(raw, _MAPPED)),
    )


def write(book: Lorebook) -> Json:
    """Write a lorebook."""
    kept_of_book = read_json(book.unknown.get("tertulia/novelai"))
    return {
        "lorebookVersion": _VERSION,
        "settings": {"orderByKeyLocations": False},
        "categories": [],
        **kept_of_book,
        "entries": [_write_entry(entry) for entry in book.entries],
    }


def _write_entry(entry: Entry) -> Json:
    rest = kept(entry, "novelai")
    return {
        **rest,
        "text": entry.content,
        "contextConfig": {**read_json(rest.get("contextConfig")), "budgetPriority": entry.order},
        "displayName": entry.comment,
        "keys": list(entry.key),
        "enabled": not entry.disable,
        "forceActivation": entry.constant,
    }
