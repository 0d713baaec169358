"""Cards between the specifications: a V2 or V3 tree from a card of any shape ("Compatibility specification, 1").

A tree made here is *armed* (see `tree`) and the caller's own. What is valid already is left as it is, key order
included; unknown keys survive at every level.
"""

from enum import StrEnum
from typing import Any, NamedTuple

from tertulia.characters.cards.books import conform_book, downgrade_book, upgrade_book
from tertulia.characters.cards.card import Card, EmbeddedFile
from tertulia.characters.cards.fields import (
    TEXTGEN_EXTENSION,
    V1_FIELDS,
    V2_FIELDS,
    V3_ONLY,
    Fields,
    place,
    textgen_rest,
)
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import SPEC_V2, SPEC_V3, Shape
from tertulia.characters.cards.tree import Object, arm, is_array, is_object

_TEXTS = V2_FIELDS[:11]
_LISTS = ("alternate_greetings", "tags")
_DEFAULT_ICON = [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}]


class Spec(StrEnum):
    """A specification to write a card in."""

    V2 = "v2"
    V3 = "v3"


class Downgraded(NamedTuple):
    """A V2 tree, and what of the V3 card is not in it."""

    tree: Object
    dropped: tuple[str, ...]


def as_v3(card: Card) -> Object:
    """Return the card as a V3 tree, with every field that V3 demands; the book of a V3 card speaks for itself."""
    root, data = _parts(card)
    _conform_v3_fields(data, card.fields)
    if is_object(data.get("character_book")) and card.shape is not Shape.V3:
        upgrade_book(data["character_book"])
    version = root.get("spec_version")
    kept = version if card.shape is Shape.V3 and isinstance(version, str) else "3.0"
    return _labelled(root, data, SPEC_V3, kept)


def as_v2(card: Card) -> Downgraded:
    """Return the card as a V2 tree; what V3 alone has is left out, and `creator_notes` says so."""
    root, data = _parts(card)
    dropped = _drop_v3(data) if card.shape is Shape.V3 else ()
    if dropped:
        remark = f"[Made from a V3 card. Not in this V2 copy: {', '.join(dropped)}.]"
        data["creator_notes"] = f"{data['creator_notes']}\n\n{remark}".lstrip()
    return Downgraded(_labelled(root, data, SPEC_V2, "2.0"), dropped)


def tree_for(card: Card, spec: Spec | None, remarks: Remarks) -> Object:
    """Return the card's own tree, or the one that `spec` asks for, noting what that one has not."""
    if spec is None:
        return arm(card.tree)
    if spec is Spec.V3:
        return as_v3(card)
    tree, dropped = as_v2(card)
    if dropped:
        remarks.add("fields_left_out", f"V2 has no place for these, they are not in it: {', '.join(dropped)}.")
    return tree


def distinct(files: tuple[EmbeddedFile, ...]) -> list[EmbeddedFile]:
    """Return the files without those that the card names twice in the same way."""
    return list({(file.uri, file.type, file.name): file for file in files}.values())


def relocate(tree: Object, file: EmbeddedFile, uri: str) -> None:
    """Point the asset that names `file` at `uri`, in a V2 or V3 tree; V3 gets one if none names it."""
    data = tree.get("data")
    if not is_object(data):
        return
    assets = data.get("assets")
    named = [asset for asset in assets if is_object(asset) and _names(asset, file)] if is_array(assets) else []
    for asset in named:
        asset["uri"] = uri
    if not named and tree.get("spec") == SPEC_V3 and uri != "ccdefault:":
        added = {"type": file.type, "uri": uri, "name": file.name, "ext": file.ext}
        data["assets"] = [*(assets if is_array(assets) else []), added]


def _names(asset: Object, file: EmbeddedFile) -> bool:
    same = asset.get("uri") == file.uri and asset.get("type") == file.type
    return same and (asset.get("name") or "") == file.name


def _labelled(root: Object, data: Object, spec: str, version: str) -> Object:
    labels = {"spec": spec, "spec_version": version, "data": data}
    return {**root, **labels} if "spec" in root else {**labels, **root, **labels}


def _drop_v3(data: Object) -> tuple[str, ...]:
    dropped = [key for key in V3_ONLY if _says_something(key, data.pop(key, None))]
    if is_object(data.get("character_book")) and downgrade_book(data["character_book"]):
        dropped.append("decorators of the book's entries")
    return tuple(dropped)


def _says_something(key: str, value: Any) -> bool:
    return bool(value) and not (key == "assets" and value == _DEFAULT_ICON)


def _parts(card: Card) -> tuple[Object, Object]:
    """Return the root without its card fields, and a `data` that fits V2."""
    root = arm(card.tree)
    if card.shape in {Shape.V2, Shape.V3} and is_object(root.get("data")):
        data = root["data"]
    else:
        data = _taken_out(root, card.shape)
    _conform_v2_fields(data, card.fields)
    return root, data


def _taken_out(root: Object, shape: Shape) -> Object:
    """Move the fields of a flat card out of its root; what is no field stays there."""
    data: Object = {}
    rest = {key: root.pop(key) for key in textgen_rest(root)} if shape is Shape.TEXTGEN else {}
    for field in (*V2_FIELDS, *V3_ONLY):
        key = place(root, shape, field)
        if key in root:
            data[field] = root.pop(key)
    if rest:
        extensions = data.get("extensions")
        data["extensions"] = {**(extensions if is_object(extensions) else {}), TEXTGEN_EXTENSION: rest}
    if "talkativeness" in root and is_object(data.setdefault("extensions", {})):
        data["extensions"].setdefault("talkativeness", root["talkativeness"])
    root.pop("spec", None)
    root.pop("spec_version", None)
    return data


def _conform_v2_fields(data: Object, fields: Fields) -> None:
    for name in _TEXTS:
        if not isinstance(data.get(name), str) or (name in V1_FIELDS[:1] and not data[name].strip()):
            data[name] = getattr(fields, name)
    for name in _LISTS:
        if not _is_texts(data.get(name)):
            data[name] = list(getattr(fields, name))
    if not is_object(data.get("extensions")):
        data["extensions"] = {}
    book = data.pop("character_book", None) if not is_object(data.get("character_book")) else data["character_book"]
    if is_object(book) or is_array(book):
        data["character_book"] = conform_book(book if is_object(book) else {"entries": book})


def _conform_v3_fields(data: Object, fields: Fields) -> None:
    for name in V3_ONLY:
        if name in data and data[name] is None:
            del data[name]
    for name in ("source", "group_only_greetings"):
        if name in data and not _is_texts(data[name]):
            data[name] = list(getattr(fields, name))
    data.setdefault("group_only_greetings", [])
    if not isinstance(data.get("nickname", ""), str):
        data["nickname"] = fields.nickname


def _is_texts(value: Any) -> bool:
    return is_array(value) and all(isinstance(item, str) for item in value)
