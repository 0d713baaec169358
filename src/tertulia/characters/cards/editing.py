"""Edits to a card: they patch the places that they touch, and nothing else."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tertulia.characters.cards.card import Card
from tertulia.characters.cards.conversion import as_v2, as_v3
from tertulia.characters.cards.fields import PLACES, V1_FIELDS, V3_ONLY, Fields, body, place
from tertulia.characters.cards.shapes import Shape
from tertulia.characters.cards.tree import Object, arm

EDITABLE: Final = frozenset(Fields.__struct_fields__) - {"extra"}
_ROOT_COPIES: Final = {**{name: name for name in (*V1_FIELDS, "tags")}, "creator_notes": "creatorcomment"}
_NATIVE: Final = {
    Shape.V1: frozenset(V1_FIELDS),
    Shape.PYGMALION: frozenset(PLACES[Shape.PYGMALION]),
    Shape.TEXTGEN: frozenset(PLACES[Shape.TEXTGEN]),
}


def edit(card: Card, changes: Mapping[str, Any]) -> Card:
    """Return the card with `changes` (names and values of `Fields`); equal values touch nothing.

    A field that the card's shape does not have makes it a V2 or V3 card. Raises KeyError for a name that is none.
    """
    if unknown := set(changes) - EDITABLE:
        raise KeyError(*sorted(unknown))
    wanted = {name: _plain(value) for name, value in changes.items()}
    touched = {name: value for name, value in wanted.items() if value != _plain(getattr(card.fields, name))}
    if not touched:
        return card
    card = _with_room_for(card, frozenset(touched))
    root = arm(card.tree)
    for name, value in touched.items():
        _patch(root, card.shape, name, value)
    return card.reshaped(card.shape, root)


def _plain(value: Any) -> Any:
    """Return what JSON makes of a value: lists for tuples, objects for structs."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _with_room_for(card: Card, names: frozenset[str]) -> Card:
    if names & set(V3_ONLY) and card.shape is not Shape.V3:
        return card.reshaped(Shape.V3, as_v3(card))
    native = _NATIVE.get(card.shape)
    if native is None or all(name in native or name in card.tree.root for name in names):
        return card
    return card.reshaped(Shape.V2, as_v2(card).tree)


def _patch(root: Object, shape: Shape, name: str, value: Any) -> None:
    target = body(root, shape)
    key = place(target, shape, name)
    copy = _ROOT_COPIES.get(name)
    if target is not root and copy in root and root[copy] == target.get(key):
        root[copy] = value
    if value is None:
        target.pop(key, None)
    else:
        target[key] = value
