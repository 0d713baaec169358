"""The `character_book` of a card, as data: made to fit a specification without losing what it does not know."""

import re
from typing import Any

from tertulia.characters.cards.fields import as_text
from tertulia.characters.cards.tree import Object, is_array, is_object, read_integer, read_real

_SLASHED = re.compile(r"/(?:[^/\\]|\\.)+/[dgimsuvy]*", re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_REAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}")
_POSITIONS: dict[Any, str] = {0: "before_char", 1: "after_char", "0": "before_char", "1": "after_char"}
_DEFAULT_ORDER = 100


def conform_book(book: Object) -> Object:
    """Return the book with the fields that V2 and V3 demand, in place; unknown keys stay."""
    if not is_object(book.get("extensions")):
        book["extensions"] = {}
    entries = book.get("entries")
    if is_object(entries):
        entries = list(entries.values())
    book["entries"] = [_conform_entry(entry) for entry in entries if is_object(entry)] if is_array(entries) else []
    for name in ("name", "description"):
        if name in book and not isinstance(book[name], str):
            _replace_or_drop(book, name, as_text(book[name]))
    return book


def _conform_entry(entry: Object) -> Object:
    entry["keys"] = _keys(entry.get("keys"))
    if "secondary_keys" in entry:
        entry["secondary_keys"] = _keys(entry["secondary_keys"])
    if not isinstance(entry.get("content"), str):
        entry["content"] = as_text(entry.get("content")) or ""
    if not is_object(entry.get("extensions")):
        entry["extensions"] = {}
    if not isinstance(entry.get("enabled"), bool):
        entry["enabled"] = entry.get("enabled") not in (0, "false")
    entry["insertion_order"] = _order(entry.get("insertion_order"))
    if "position" in entry and entry["position"] not in ("before_char", "after_char"):
        position = entry["position"]
        _replace_or_drop(entry, "position", _POSITIONS.get(position) if isinstance(position, str | int) else None)
    return entry


def _replace_or_drop(target: Object, key: str, value: str | None) -> None:
    if value:
        target[key] = value
    else:
        del target[key]


def _keys(value: Any) -> list[str]:
    if isinstance(value, str):
        return [key for part in value.split(",") if (key := part.strip())]
    if not is_array(value):
        return []
    return [text for item in value if item is not None and (text := as_text(item)) is not None]


def _order(value: Any) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return read_integer(str(int(value)))
    return read_real(value.strip()) if isinstance(value, str) and _REAL.fullmatch(value.strip()) else _DEFAULT_ORDER


def upgrade_book(book: Object) -> Object:
    """Make a conforming book V3's, in place: every entry says whether its keys are patterns."""
    for entry in book["entries"]:
        if not isinstance(entry.get("use_regex"), bool):
            keys: list[str] = entry["keys"]
            entry["use_regex"] = bool(keys) and all(_SLASHED.fullmatch(key) for key in keys)
    return book


def downgrade_book(book: Object) -> bool:
    """Make a conforming V3 book V2's, in place; return whether decorators were taken out of it."""
    decorated = False
    for entry in book["entries"]:
        bare = strip_decorators(entry["content"])
        decorated = decorated or bare != entry["content"]
        entry["content"] = bare
        entry.pop("use_regex", None)
        if isinstance(entry.get("id"), str):
            del entry["id"]
    return decorated


def strip_decorators(content: str) -> str:
    """Return the content of an entry without its leading `@@…` lines and the line ends around them."""
    lines = content.split("\n")
    count = 0
    while count < len(lines) and (lines[count].startswith("@@") or (count and not lines[count].strip())):
        count += 1
    return "\n".join(lines[count:]) if count else content
