"""Tells what a parsed object is: a card of some generation, or a lorebook of some program."""

from enum import StrEnum
from typing import Any, NamedTuple

from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.tree import Object, Tree, is_array, is_object


class Shape(StrEnum):
    """How the tree of a card is laid out ("Compatibility specification, 1 and 2")."""

    V1 = "v1"  # flat, no `spec`
    V2 = "v2"  # under `data`
    V3 = "v3"  # under `data`
    PYGMALION = "pygmalion"  # flat, `char_name`, …
    TEXTGEN = "textgen"  # flat, `context`, `greeting`


class LorebookKind(StrEnum):
    """Whose lorebook format it is."""

    SILLYTAVERN = "sillytavern"  # `entries` by uid
    LOREBOOK_V3 = "lorebook_v3"  # `spec`, and the book under `data`
    CHARACTER_BOOK = "character_book"  # the book of a card, bare
    NOVELAI = "novelai"
    AGNAI = "agnai"
    RISU = "risu"


class Format(StrEnum):
    """The container that a card came in."""

    PNG = "png"
    APNG = "apng"
    WEBP = "webp"
    JPEG = "jpeg"
    CHARX = "charx"
    BYAF = "byaf"
    JSON = "json"
    YAML = "yaml"
    MD = "md"
    TXT = "txt"


class Found(NamedTuple):
    """A parsed object, what it is and came in, the text around it, and the files that its container had for it."""

    kind: Shape | LorebookKind
    tree: Tree
    format: Format
    prose: str = ""


SPEC_V2 = "chara_card_v2"
SPEC_V3 = "chara_card_v3"
_TEXTS = ("description", "personality", "scenario", "first_mes", "mes_example")
_CHARACTER_ONLY = ("personality", "scenario", "first_mes", "mes_example", "char_name", "char_persona")
_PYGMALION = ("char_name", "char_persona", "char_greeting", "world_scenario")


def recognise(tree: Object, remarks: Remarks) -> Shape | LorebookKind | None:
    """Say what `tree` is, or None if it is neither card nor lorebook."""
    return _by_spec(tree, remarks) or _lorebook(tree) or _flat(tree) or _unlabelled(tree, remarks)


def _by_spec(tree: Object, remarks: Remarks) -> Shape | LorebookKind | None:
    spec = tree.get("spec")
    if spec == "lorebook_v3" and is_object(tree.get("data")):
        return LorebookKind.LOREBOOK_V3
    if not is_object(tree.get("data")):
        if spec in (SPEC_V2, SPEC_V3):
            remarks.add("missing_data", "The card says V2 or V3 and has no `data`; it was read as a flat card.")
        return None
    if spec == SPEC_V3:
        _check_version(tree.get("spec_version"), remarks)
        return Shape.V3
    return Shape.V2 if spec == SPEC_V2 else None


def _check_version(version: Any, remarks: Remarks) -> None:
    try:
        newer = float(version) > 3.0
    except (TypeError, ValueError, OverflowError):
        newer = False
    if newer:
        remarks.add("newer_spec", "The card follows a newer specification than 3.0; what is unknown in it is kept.")


def _lorebook(tree: Object) -> LorebookKind | None:
    entries = tree.get("entries")
    if tree.get("type") == "risu" and is_array(tree.get("data")):
        return LorebookKind.RISU
    if any(key in tree for key in _CHARACTER_ONLY) or not (is_array(entries) or is_object(entries)):
        return None
    if "lorebookVersion" in tree:
        return LorebookKind.NOVELAI
    if tree.get("kind") == "memory":
        return LorebookKind.AGNAI
    return LorebookKind.SILLYTAVERN if is_object(entries) else LorebookKind.CHARACTER_BOOK


def _flat(tree: Object) -> Shape | None:
    named = bool(tree.get("name"))
    texts = sum(key in tree for key in _TEXTS)
    if texts and (named or "char_name" in tree or texts > 1):
        return Shape.V1
    if any(key in tree for key in _PYGMALION) and not named:
        return Shape.PYGMALION
    if "context" in tree or "greeting" in tree:
        return Shape.TEXTGEN
    if any(key in tree for key in _PYGMALION):
        return Shape.PYGMALION
    return Shape.V1 if named and not is_object(tree.get("data")) else None


def _unlabelled(tree: Object, remarks: Remarks) -> Shape | None:
    data = tree.get("data")
    if not is_object(data) or not (data.get("name") or any(key in data for key in _TEXTS)):
        return None
    remarks.add("unknown_spec", "The card does not say which specification it follows; it was read as V2.")
    return Shape.V2


def lorebook_name(kind: LorebookKind, tree: Object) -> str:
    """Return the name that a lorebook gives itself, or ""."""
    inner = tree.get("data") if kind is LorebookKind.LOREBOOK_V3 else tree
    name = inner.get("name") if is_object(inner) else None
    return name.strip() if isinstance(name, str) else ""
