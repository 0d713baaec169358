"""What a card says, in V3's terms, read as leniently as real files need ("Compatibility specification, 1.8").

Nothing here changes the tree: a comma string is read as a list of tags, and stays a comma string in the original.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import Shape
from tertulia.characters.cards.tree import Number, Object, is_array, is_object

TEXT_FIELDS: Final = (
    "name",
    "description",
    "personality",
    "scenario",
    "first_mes",
    "mes_example",
    "creator_notes",
    "system_prompt",
    "post_history_instructions",
    "creator",
    "character_version",
    "nickname",
)
V1_FIELDS: Final = TEXT_FIELDS[:6]
V2_FIELDS: Final = (*TEXT_FIELDS[:11], "alternate_greetings", "tags", "extensions", "character_book")
V3_ONLY: Final = (
    "assets",
    "nickname",
    "creator_notes_multilingual",
    "source",
    "group_only_greetings",
    "creation_date",
    "modification_date",
)

PLACES: Final[dict[Shape, dict[str, tuple[str, ...]]]] = {
    Shape.V1: {
        "name": ("name", "char_name"),
        "description": ("description", "char_persona", "context"),
        "scenario": ("scenario", "world_scenario"),
        "first_mes": ("first_mes", "char_greeting", "greeting"),
        "mes_example": ("mes_example", "example_dialogue"),
        "creator_notes": ("creator_notes", "creatorcomment"),
    },
    Shape.V2: {},
    Shape.V3: {},
    Shape.PYGMALION: {
        "name": ("char_name", "name"),
        "description": ("char_persona",),
        "scenario": ("world_scenario",),
        "first_mes": ("char_greeting",),
        "mes_example": ("example_dialogue",),
    },
    Shape.TEXTGEN: {
        "name": ("name", "bot", "char_name"),
        "description": ("context",),
        "first_mes": ("greeting",),
        "mes_example": ("example_dialogue",),
    },
}
"""Where a shape keeps a field, if not under the field's own name; the first place that is there counts."""

TEXTGEN_EXTENSION: Final = "text-generation-webui"
_BOILERPLATE: Final = "Creator's notes go here."
_MILLISECONDS: Final = 1e10
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")


class Asset(msgspec.Struct, frozen=True):
    """A picture or other file that a card names (V3, 1.4)."""

    type: str
    uri: str
    name: str
    ext: str


class Fields(msgspec.Struct, frozen=True):
    """A card's fields. Dates are Unix seconds, None if withheld or unreadable; `extra` are keys of no specification."""

    name: str
    description: str = ""
    personality: str = ""
    scenario: str = ""
    first_mes: str = ""
    mes_example: str = ""
    creator_notes: str = ""
    system_prompt: str = ""
    post_history_instructions: str = ""
    alternate_greetings: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    creator: str = ""
    character_version: str = ""
    extensions: dict[str, Any] = {}
    character_book: dict[str, Any] | None = None
    nickname: str = ""
    creator_notes_multilingual: dict[str, str] = {}
    source: tuple[str, ...] = ()
    group_only_greetings: tuple[str, ...] = ()
    creation_date: float | None = None
    modification_date: float | None = None
    assets: tuple[Asset, ...] = ()
    extra: dict[str, Any] = {}


def read_fields(tree: Object, shape: Shape, fallback_name: str, remarks: Remarks) -> Fields:
    """Read the typed view of a tree of `shape`."""
    reader = _Reader(body(tree, shape), PLACES[shape], remarks)
    texts = {field: reader.text(field) for field in TEXT_FIELDS}
    if not texts["name"].strip():
        remarks.add("missing_name", "The card has no name; it was named after its file.")
        texts["name"] = fallback_name or "Unnamed"
    if texts["creator_notes"].strip() == _BOILERPLATE:
        texts["creator_notes"] = ""
    return Fields(
        **texts,
        alternate_greetings=reader.texts("alternate_greetings"),
        tags=reader.tags(),
        extensions=reader.extensions(shape),
        character_book=reader.book(),
        creator_notes_multilingual=reader.notes_by_language(),
        source=reader.texts("source"),
        group_only_greetings=reader.texts("group_only_greetings"),
        creation_date=reader.date("creation_date"),
        modification_date=reader.date("modification_date"),
        assets=reader.assets(),
        extra=reader.extra(),
    )


def body(tree: Object, shape: Shape) -> Object:
    """Return the object that holds the fields: `data`, or the root of a flat card."""
    data = tree.get("data")
    return data if shape in {Shape.V2, Shape.V3} and is_object(data) else tree


def place(source: Object, shape: Shape, field: str) -> str:
    """Return the key under which a body of `shape` keeps a field, or would."""
    return _place(source, PLACES[shape].get(field, (field,)))


def _place(source: Object, names: tuple[str, ...]) -> str:
    return next((name for name in names if source.get(name) not in (None, "")), names[0])


def as_text(value: Any) -> str | None:
    """Return what a value says as text, or None if it says nothing that a text field could hold."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Number():
            return value.literal
        case int() | float():
            return str(value)
        case _:
            return "\n".join(map(str, value)) if is_array(value) and _all_scalars(value) else None


def _all_scalars(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str | int | float) for value in values)


class _Reader:
    """Reads the fields of one body, noting what it had to bend."""

    def __init__(self, source: Object, places: dict[str, tuple[str, ...]], remarks: Remarks) -> None:
        self._source = source
        self._places = places
        self._remarks = remarks
        self._used: set[str] = {"spec", "spec_version", "data"}

    def value(self, field: str) -> Any:
        name = _place(self._source, self._places.get(field, (field,)))
        self._used.add(name)
        return self._source.get(name)

    def text(self, field: str) -> str:
        value = self.value(field)
        text = as_text(value)
        if value is not None and not isinstance(value, str):
            self._bent(field, "a text")
        return text or ""

    def texts(self, field: str) -> tuple[str, ...]:
        value = self.value(field)
        if value is None:
            return ()
        if not is_array(value):
            self._bent(field, "a list of texts")
            text = as_text(value)
            return (text,) if text else ()
        texts = [as_text(item) for item in value if item is not None]
        if len(texts) != len(value) or not all(isinstance(item, str) for item in value):
            self._bent(field, "a list of texts")
        return tuple(text for text in texts if text is not None)

    def tags(self) -> tuple[str, ...]:
        value = self.value("tags")
        if isinstance(value, str):
            self._bent("tags", "a list of texts")
            return tuple(tag for part in value.split(",") if (tag := part.strip()))
        return self.texts("tags")

    def object(self, field: str) -> Object | None:
        value = self.value(field)
        if value is not None and not is_object(value):
            self._bent(field, "an object")
        return value if is_object(value) else None

    def extensions(self, shape: Shape) -> Object:
        extensions = self.object("extensions") or {}
        if shape is not Shape.TEXTGEN:
            return extensions
        rest = {key: self.value(key) for key in textgen_rest(self._source)}
        return {**extensions, TEXTGEN_EXTENSION: rest} if rest else extensions

    def book(self) -> Object | None:
        value = self.value("character_book")
        if is_array(value):
            self._bent("character_book", "an object")
            return {"entries": value}
        return self.object("character_book")

    def notes_by_language(self) -> dict[str, str]:
        notes = self.object("creator_notes_multilingual") or {}
        return {language: text for language, value in notes.items() if (text := as_text(value)) is not None}

    def date(self, field: str) -> float | None:
        value = self.value(field)
        seconds = _seconds(value)
        if seconds is None and value is not None:
            self._bent(field, "a time in Unix seconds")
        return seconds or None

    def assets(self) -> tuple[Asset, ...]:
        value = self.value("assets")
        found = [asset for item in value if (asset := read_asset(item))] if is_array(value) else []
        if value is not None and (not is_array(value) or len(found) != len(value)):
            self._bent("assets", "a list of assets")
        return tuple(found)

    def extra(self) -> Object:
        return {key: value for key, value in self._source.items() if key not in self._used}

    def _bent(self, field: str, expected: str) -> None:
        self._remarks.add("lenient_field", f"The field {field} is not {expected}; what it says was taken all the same.")


def read_asset(item: Any) -> Asset | None:
    """Return one item of `assets`, or None if it names no file."""
    if not is_object(item) or not isinstance(item.get("uri"), str):
        return None
    return Asset(
        type=as_text(item.get("type")) or "other",
        uri=item["uri"],
        name=as_text(item.get("name")) or "",
        ext=(as_text(item.get("ext")) or "unknown").lower().lstrip("."),
    )


def textgen_rest(source: Object) -> tuple[str, ...]:
    """Return the keys of a textgen card that no field of a card stands for (`turn_template`, `your_name`, …)."""
    known = {name for names in PLACES[Shape.TEXTGEN].values() for name in names} | {"extensions"}
    return tuple(key for key in source if key not in known and key not in V2_FIELDS and key not in V3_ONLY)


def _seconds(value: Any) -> float | None:
    if isinstance(value, str):
        seconds = float(value) if _NUMBER.fullmatch(value) else _from_iso(value)
    else:
        seconds = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if seconds is None or not 0 <= seconds < _MILLISECONDS * 1000:
        return None
    return seconds / 1000 if seconds > _MILLISECONDS else seconds


def _from_iso(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.strip()[:40])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
