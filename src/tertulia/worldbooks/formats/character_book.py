"""The `character_book` of a card (V2, V3), and V3's standalone lorebook. Source: characters, 1.2, 1.5, 1.8, 3.9.

SillyTavern's own fields lie in each entry's `extensions` in snake case. What has no place in the format is kept under
an extension of ours; what is not ours in a file comes back where it was.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from tertulia.worldbooks.entries import (
    DEFAULTS,
    Entry,
    Json,
    decode_entry,
    encode_entry,
    read_flag,
    read_json,
    read_text,
    read_texts,
)
from tertulia.worldbooks.formats.pieces import keeping, kept, read_entries, read_limits, rest_of, slashed
from tertulia.worldbooks.keys import slashed_regex
from tertulia.worldbooks.lorebook import Lorebook

_SNAKE: Final = {
    "excludeRecursion": "exclude_recursion",
    "preventRecursion": "prevent_recursion",
    "delayUntilRecursion": "delay_until_recursion",
    "scanDepth": "scan_depth",
    "caseSensitive": "case_sensitive",
    "matchWholeWords": "match_whole_words",
    "useGroupScoring": "use_group_scoring",
    "groupOverride": "group_override",
    "groupWeight": "group_weight",
    "automationId": "automation_id",
    "outletName": "outlet_name",
    "ignoreBudget": "ignore_budget",
    "displayIndex": "display_index",
    "matchPersonaDescription": "match_persona_description",
    "matchCharacterDescription": "match_character_description",
    "matchCharacterPersonality": "match_character_personality",
    "matchCharacterDepthPrompt": "match_character_depth_prompt",
    "matchScenario": "match_scenario",
    "matchCreatorNotes": "match_creator_notes",
}
_SAME: Final = (
    "selectiveLogic", "probability", "useProbability", "depth", "role", "group", "vectorized", "sticky", "cooldown",
    "delay", "triggers",
)  # fmt: skip
_EXTENSIONS: Final = {**_SNAKE, **{name: name for name in _SAME}, "position": "position"}
_OWN: Final = "sillytavern"  # what SillyTavern's own export of an entry leaves out
_TAKEN: Final = frozenset((*_EXTENSIONS.values(), f"tertulia/{_OWN}"))
_OWN_FIELDS: Final = ("addMemo", "characterFilter")
_ELSEWHERE: Final = {  # entry-level names of other programs, where the extension is absent
    "caseSensitive": ("case_sensitive",),
    "matchWholeWords": ("whole_words_only",),
    "matchPersonaDescription": ("scan_persona",),
    "selectiveLogic": ("selectiveLogic", "key_logic"),
    "probability": ("probability",),
    "sticky": ("sticky",),
    "cooldown": ("cooldown",),
    "delay": ("delay",),
}
_MAPPED: Final = frozenset(
    ("keys", "content", "extensions", "enabled", "insertion_order", "comment", "id", "selective", "secondary_keys",
     "constant", "position"),
)  # fmt: skip
_BOOK_FIELDS: Final = frozenset(
    ("name", "description", "scan_depth", "token_budget", "recursive_scanning", "extensions", "entries")
)


def is_one(root: Mapping[str, Any]) -> bool:
    """Say whether a file with entries is a character book: its entries speak of `keys`."""
    entries = root.get("entries")
    first = next(iter(cast("list[Any]", entries)), None) if isinstance(entries, list) else None
    return isinstance(first, Mapping) and "keys" in first


def is_v3(root: Json) -> bool:
    """Say whether a file is V3's standalone lorebook."""
    return root.get("spec") == "lorebook_v3" and isinstance(root.get("data"), Mapping)


def read_v3(root: Json) -> Lorebook:
    """Read V3's standalone lorebook."""
    return read(root["data"])


def read(raw: Mapping[str, Any]) -> Lorebook:
    """Read a book, as sloppy as books are."""
    return Lorebook(
        name=read_text(raw.get("name")),
        description=read_text(raw.get("description")),
        **read_limits(raw),
        extensions=read_json(raw.get("extensions")),
        entries=read_entries(raw.get("entries"), _read_entry),
        unknown=rest_of(raw, _BOOK_FIELDS),
    )


def _read_entry(raw: Json, index: int) -> Entry:
    extensions = read_json(raw.get("extensions"))
    fields = _read_extensions(raw, extensions)
    comment = read_text(raw.get("comment")) or read_text(raw.get("name"))
    keys = read_texts(raw.get("keys"))
    rest = rest_of(raw, _MAPPED)
    if _bare_patterns(raw, extensions):
        patterns = tuple(map(_slashed_once, keys))
        rest |= {} if patterns == keys else {"keys": list(keys)}
        keys = patterns
    if rest.get("use_regex") is any(map(slashed_regex, keys)) and "keys" not in rest:
        del rest["use_regex"]  # it will be written the same
    fields |= {
        "uid": next((raw[name] for name in ("id", "entry_id") if raw.get(name) is not None), index),
        "key": keys,
        "keysecondary": raw.get("secondary_keys"),
        "comment": comment,
        "addMemo": fields.get("addMemo", bool(comment)),
        "content": raw.get("content"),
        "constant": raw.get("constant"),
        "selective": read_flag(raw.get("selective")),
        "order": raw.get("insertion_order"),
        "disable": not read_flag(raw.get("enabled"), default=True),
        "position": fields.get("position", 0 if raw.get("position") in ("before_char", 0) else 1),
        "extensions": {**rest_of(extensions, _TAKEN), **keeping("character_book", rest)},
    }
    return decode_entry(fields, index)


def _read_extensions(raw: Json, extensions: Json) -> Json:
    """Give SillyTavern's fields by their own names: from the extensions, else where other programs put them."""
    own = read_json(extensions.get(f"tertulia/{_OWN}"))
    fields: Json = {**read_json(own.get("unknown")), **{name: own[name] for name in _OWN_FIELDS if name in own}}
    for name, snake in _EXTENSIONS.items():
        places = (extensions.get(snake), *(raw.get(other) for other in _ELSEWHERE.get(name, ())))
        found = next((value for value in places if value is not None), None)
        if found is not None:
            fields[name] = found
    return fields


def _slashed_once(key: str) -> str:
    return key if slashed_regex(key) else slashed(key)


def _bare_patterns(raw: Json, extensions: Json) -> bool:
    """Say whether keys are patterns without slashes. SillyTavern says `use_regex` of every entry, and means nothing."""
    by_sillytavern = any(name in extensions for name in ("selectiveLogic", "display_index", "useProbability"))
    return read_flag(raw.get("use_regex")) and not by_sillytavern


def write(book: Lorebook) -> Json:
    """Write a book as a card holds it."""
    settings = {
        "name": book.name,
        "description": book.description or None,
        "scan_depth": book.scan_depth,
        "token_budget": book.token_budget,
        "recursive_scanning": book.recursive_scanning,
    }
    present = {name: value for name, value in settings.items() if value is not None}
    return {
        **book.unknown,
        **present,
        "extensions": book.extensions,
        "entries": [_write_entry(entry) for entry in book.entries],
    }


def write_v3(book: Lorebook) -> Json:
    """Write V3's standalone file."""
    return {"spec": "lorebook_v3", "data": write(book)}


def _write_entry(entry: Entry) -> Json:
    fields = encode_entry(entry)
    rest = kept(entry, "character_book")
    extensions = {snake: fields[name] for name, snake in _EXTENSIONS.items() if name in fields}
    return {
        "use_regex": any(map(slashed_regex, entry.key)),
        **rest,
        "id": entry.uid,
        "keys": _written_keys(entry, rest),
        "secondary_keys": list(entry.keysecondary),
        "comment": entry.comment,
        "content": entry.content,
        "constant": entry.constant,
        "selective": entry.selective,
        "insertion_order": entry.order,
        "enabled": not entry.disable,
        "position": "before_char" if entry.position == 0 else "after_char",
        "extensions": {
            **rest_of(entry.extensions, ("tertulia/character_book",)),
            **extensions,
            **keeping(_OWN, _left_out(entry)),
        },
    }


def _written_keys(entry: Entry, rest: Json) -> list[str]:
    """Give the keys; patterns that came without slashes go without, as long as they are the same."""
    bare = read_texts(rest.get("keys"))
    return list(bare if tuple(map(_slashed_once, bare)) == entry.key else entry.key)


def _left_out(entry: Entry) -> Json:
    """Give what SillyTavern's form has and this one has not."""
    own = encode_entry(entry)
    left = {name: own[name] for name in _OWN_FIELDS if own[name] != _expected(entry, name)}
    unknown = {name: value for name, value in entry.unknown.items() if name not in _EXTENSIONS}
    return {**left, **({"unknown": unknown} if unknown else {})}


def _expected(entry: Entry, name: str) -> object:
    return bool(entry.comment) if name == "addMemo" else DEFAULTS[name]
