"""The way out: a card in any container and specification, without loss where the container allows it.

Without a `spec`, a card goes out in the shape that it came in; `v2` and `v3` ask for that specification, with all its
mandatory fields. What a form cannot carry is named in the warnings of the result.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from tertulia.characters.cards import charx_writing, png_writing, webp
from tertulia.characters.cards.books import conform_book, upgrade_book
from tertulia.characters.cards.card import Card, EmbeddedFile
from tertulia.characters.cards.conversion import Spec, tree_for
from tertulia.characters.cards.editing import edit
from tertulia.characters.cards.prose import to_markdown
from tertulia.characters.cards.remarks import CardWarning, Remarks
from tertulia.characters.cards.shapes import Shape
from tertulia.characters.cards.tree import dump
from tertulia.characters.cards.yaml_text import dump_yaml

_INDENT: Final = 4
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
_MAX_SLUG: Final = 80


class Form(StrEnum):
    """A form that a card is written in; the original's bytes are their keeper's to return."""

    PNG = "png"
    WEBP = "webp"
    CHARX = "charx"
    JSON = "json"
    YAML = "yaml"
    MD = "md"
    TXT = "txt"


MEDIA_TYPES: Final[dict[Form, str]] = {
    Form.PNG: "image/png",
    Form.WEBP: "image/webp",
    Form.CHARX: "application/zip",
    Form.JSON: "application/json",
    Form.YAML: "application/yaml",
    Form.MD: "text/markdown; charset=utf-8",
    Form.TXT: "text/plain; charset=utf-8",
}


class Written(msgspec.Struct, frozen=True):
    """A card as a file, and what is not in it."""

    content: bytes
    media_type: str
    file_name: str
    warnings: tuple[CardWarning, ...] = ()


class Beside(NamedTuple):
    """What stands beside a card's fields: its picture, its files, the archive that it came in."""

    portrait: bytes | None = None
    files: tuple[EmbeddedFile, ...] = ()
    container: bytes | memoryview | None = None


def write_card(
    card: Card,
    form: Form,
    *,
    spec: Spec | None = None,
    book: Mapping[str, Any] | None = None,
    portrait: bytes | None = None,
    files: Sequence[EmbeddedFile] = (),
    container: bytes | memoryview | None = None,
) -> Written:
    """Write a card.

    `book` stands in for the card's own `character_book`. `portrait` is the picture: the original PNG, with all its
    chunks, for a card that came in one. `files` are those of `Character.files`. `container` is the original CHARX;
    of it every member but `card.json` (and the main icon, if `portrait` is another) keeps its bytes.

    Raises CardError `image_mismatch` for a portrait that is no PNG where one is written, no WEBP for WEBP; and what
    loading a file raises.
    """
    if book is not None:
        card = _with_book(card, book)
    remarks = Remarks()
    content = _WRITERS[form](card, spec, Beside(portrait, tuple(files), container), remarks)
    if card.prose.strip() and form is not Form.MD:
        remarks.add("text_left_out", "The text around the card is not in this form; Markdown has it.")
    return Written(content, MEDIA_TYPES[form], file_name(card, form), remarks.as_tuple())


def _with_book(card: Card, book: Mapping[str, Any]) -> Card:
    own = conform_book(msgspec.json.decode(msgspec.json.encode(book)))
    return edit(card, {"character_book": upgrade_book(own) if card.shape is Shape.V3 else own})


def file_name(card: Card, form: Form) -> str:
    """Return a name for the file that is safe on every system."""
    plain = unicodedata.normalize("NFKD", card.fields.name[: 4 * _MAX_SLUG]).encode("ascii", "ignore").decode()
    slug = _UNSAFE.sub("-", plain)[:_MAX_SLUG].strip("-").lower()
    return f"{slug or 'character'}.{form.value}"


def _write_png(card: Card, spec: Spec | None, beside: Beside, remarks: Remarks) -> bytes:
    return png_writing.write(card, spec, beside.portrait, beside.files, remarks)


def _write_webp(card: Card, spec: Spec | None, beside: Beside, remarks: Remarks) -> bytes:
    _miss_files(beside, remarks)
    portrait = beside.portrait
    if portrait is None:
        remarks.add("plain_picture", "The card has no picture; a plain one carries it.")
        portrait = webp.plain_picture()
    tree = tree_for(_specified(card), spec, remarks)
    return webp.write(memoryview(portrait), dump(tree, ascii_only=True))


def _write_charx(card: Card, spec: Spec | None, beside: Beside, remarks: Remarks) -> bytes:
    return charx_writing.write(card, spec, beside.portrait, beside.files, beside.container, remarks)


def _write_json(card: Card, spec: Spec | None, beside: Beside, remarks: Remarks) -> bytes:
    _miss_files(beside, remarks)
    return dump(tree_for(card, spec, remarks), indent=_INDENT)


def _write_yaml(card: Card, spec: Spec | None, beside: Beside, remarks: Remarks) -> bytes:
    _miss_files(beside, remarks)
    return dump_yaml(tree_for(card, spec, remarks)).encode()


def _write_md(card: Card, spec: Spec | None, beside: Beside, remarks: Remarks) -> bytes:
    _miss_files(beside, remarks)
    return to_markdown(tree_for(_specified(card), spec, remarks), card.prose).encode()


def _write_txt(card: Card, spec: Spec | None, beside: Beside, remarks: Remarks) -> bytes:
    """Write the description alone; plain text has no place for a specification."""
    del spec
    _miss_files(beside, remarks)
    fields = card.fields
    others = (fields.personality, fields.scenario, fields.first_mes, fields.mes_example, fields.system_prompt)
    if any(others) or fields.character_book or fields.alternate_greetings:
        remarks.add("fields_left_out", "Plain text has only the description; the other fields are not in it.")
    return fields.description.encode()


def _specified(card: Card) -> Card:
    """Return a card of a specification, for containers in which nobody reads another."""
    if card.shape in {Shape.PYGMALION, Shape.TEXTGEN}:
        return card.reshaped(Shape.V2, tree_for(card, Spec.V2, Remarks()))
    return card


def _miss_files(beside: Beside, remarks: Remarks) -> None:
    if any(not file.uri.startswith("ccdefault:") for file in beside.files):
        remarks.add("assets_left_out", "The card's files are not in this form; CHARX and PNG carry them.")


_WRITERS: Final[dict[Form, Callable[[Card, Spec | None, Beside, Remarks], bytes]]] = {
    Form.PNG: _write_png,
    Form.WEBP: _write_webp,
    Form.CHARX: _write_charx,
    Form.JSON: _write_json,
    Form.YAML: _write_yaml,
    Form.MD: _write_md,
    Form.TXT: _write_txt,
}
