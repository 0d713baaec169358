"""An entry of a world book: SillyTavern's fields, names and defaults, read leniently and written back whole.

Files of many programs come through here, so reading never fails: what has the wrong type is turned into the right
one where the meaning is plain, else takes its default; what is not ours is kept under `unknown`. Source: characters,
1.8 and 3.9.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

Uid = int | str
Number = int | float
Json = dict[str, Any]


class CharacterFilter(msgspec.Struct, frozen=True, rename="camel"):
    """For whom an entry is meant: file stems of cards and tags, or all but those."""

    is_exclude: bool = False
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """One entry. `None` in a setting means what the scan says.

    `position`: see `placement.Position`; `role`: 0 system, 1 user, 2 assistant; `selective_logic`: 0 AND ANY, 1 NOT
    ALL, 2 NOT ANY, 3 AND ALL. `sticky`, `cooldown`, `delay` are in messages.
    """

    uid: Uid = 0
    key: tuple[str, ...] = ()
    keysecondary: tuple[str, ...] = ()
    comment: str = ""
    content: str = ""
    constant: bool = False
    vectorized: bool = False
    selective: bool = True
    selective_logic: int = 0
    add_memo: bool = False
    order: Number = 100
    position: int = 0
    disable: bool = False
    ignore_budget: bool = False
    exclude_recursion: bool = False
    prevent_recursion: bool = False
    delay_until_recursion: Number | bool = 0
    probability: Number = 100
    use_probability: bool = True
    depth: int = 4
    outlet_name: str = ""
    group: str = ""
    group_override: bool = False
    group_weight: Number = 100
    scan_depth: int | None = None
    case_sensitive: bool | None = None
    match_whole_words: bool | None = None
    use_group_scoring: bool | None = None
    automation_id: str = ""
    role: int = 0
    sticky: int | None = None
    cooldown: int | None = None
    delay: int | None = None
    character_filter: CharacterFilter | None = None
    triggers: tuple[str, ...] = ()
    match_persona_description: bool = False
    match_character_description: bool = False
    match_character_personality: bool = False
    match_character_depth_prompt: bool = False
    match_scenario: bool = False
    match_creator_notes: bool = False
    extensions: Json = {}
    unknown: Json = {}

    @property
    def label(self) -> str:
        """Give what a person would call the entry: its comment, else its first key."""
        return self.comment or next(iter(self.key), "") or str(self.uid)


_MOST: Final = 1 << 53  # beyond it JavaScript knows no whole numbers
POSITIONS: Final = {"before_char": 0, "after_char": 1, "before": 0, "after": 1, "at_depth": 4}
ROLES: Final = {"system": 0, "user": 1, "assistant": 2}
LOGIC: Final = {"AND_ANY": 0, "NOT_ALL": 1, "NOT_ANY": 2, "AND_ALL": 3}


def read_text(value: object, default: str = "") -> str:
    """Read a text; a number is written out."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return default


def read_flag(value: object, *, default: bool = False) -> bool:
    """Read a yes or no, also as a number or a word."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "1", "yes", "on"} if value.strip() else default
    return bool(value) if isinstance(value, bool | int | float) else default


def read_number(value: object, default: Number = 0) -> Number:
    """Read a number up to 2⁵³, also from a text; a whole one comes as an int."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return default
    if not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        return default
    return int(value) if value == int(value) else value


def read_whole(value: object, default: int = 0) -> int:
    """Read a whole number; a fraction is cut off."""
    return int(read_number(value, default))


def read_texts(value: object) -> tuple[str, ...]:
    """Read a list of texts; a single text is split at its commas."""
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    if not isinstance(value, list | tuple):
        return ()
    return tuple(read_text(item) for item in cast("list[object]", value) if isinstance(item, str | int | float))


def read_json(value: object) -> Json:
    """Read an object; anything else is an empty one."""
    return dict(cast("Json", value)) if isinstance(value, Mapping) else {}


def _read_named(names: Mapping[str, int]) -> Callable[[object, int], int]:
    def read(value: object, default: int) -> int:
        named = names.get(value) if isinstance(value, str) else None
        return read_whole(value, default) if named is None else named

    return read


def _read_delay_until(value: object, default: Number) -> Number | bool:
    return value if isinstance(value, bool) else read_number(value, default)


def _read_optional_flag(value: object, _default: object) -> bool | None:
    return None if value is None else read_flag(value)


def _read_optional_whole(value: object, _default: object) -> int | None:
    return None if value is None or value == "" else read_whole(value)


def _read_filter(value: object, _default: object) -> CharacterFilter | None:
    if not isinstance(value, Mapping):
        return None
    raw = read_json(cast("object", value))
    return CharacterFilter(read_flag(raw.get("isExclude")), read_texts(raw.get("names")), read_texts(raw.get("tags")))


def _read_uid(value: object, default: Uid) -> Uid:
    if isinstance(value, str) and value:
        return value
    return read_whole(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _reader(name: str, default: object) -> Callable[[object, Any], object]:
    """Choose how a field is read: by its name where it is special, else by the type of its default."""
    special: dict[str, Callable[[object, Any], object]] = {
        "uid": _read_uid,
        "position": _read_named(POSITIONS),
        "role": _read_named(ROLES),
        "selectiveLogic": _read_named(LOGIC),
        "delayUntilRecursion": _read_delay_until,
        "caseSensitive": _read_optional_flag,
        "matchWholeWords": _read_optional_flag,
        "useGroupScoring": _read_optional_flag,
        "characterFilter": _read_filter,
        "order": read_number,
        "probability": read_number,
        "groupWeight": read_number,
    }
    if name in special:
        return special[name]
    if isinstance(default, bool):
        return lambda value, default: read_flag(value, default=default)
    if isinstance(default, int):
        return read_whole
    if isinstance(default, tuple):
        return lambda value, _: read_texts(value)
    return read_text if isinstance(default, str) else _read_optional_whole


_INFO: Final = {field.encode_name: field for field in msgspec.structs.fields(Entry)}
DEFAULTS: Final[Json] = {
    name: field.default for name, field in _INFO.items() if name not in {"uid", "extensions", "unknown"}
}
_READERS: Final = {name: _reader(name, default) for name, default in DEFAULTS.items()}
_ATTRIBUTES: Final = {name: _INFO[name].name for name in DEFAULTS}


def decode_entry(raw: Mapping[str, Any], index: int = 0) -> Entry:
    """Read an entry in SillyTavern's form; `index` is its uid when it brings none."""
    fields: Json = {
        _ATTRIBUTES[name]: _READERS[name](value, DEFAULTS[name])
        for name, value in raw.items()
        if name in _READERS and value is not None
    }
    known = {*_READERS, "uid", "extensions"}
    return Entry(
        uid=_read_uid(raw.get("uid"), index),
        extensions=read_json(raw.get("extensions")),
        unknown={str(name): value for name, value in raw.items() if name not in known},
        **fields,
    )


def encode_entry(entry: Entry) -> Json:
    """Write an entry in SillyTavern's form: every field, then what was unknown."""
    written: Json = {name: getattr(entry, attribute) for name, attribute in _ATTRIBUTES.items()}
    lists: Json = {name: list(written[name]) for name, default in DEFAULTS.items() if isinstance(default, tuple)}
    who = entry.character_filter
    if who is not None:
        lists["characterFilter"] = {"isExclude": who.is_exclude, "names": list(who.names), "tags": list(who.tags)}
    kept: Json = {"extensions": entry.extensions} if entry.extensions else {}
    return {**entry.unknown, "uid": entry.uid, **written, **lists, **kept}
