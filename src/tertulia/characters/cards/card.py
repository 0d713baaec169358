"""A card: the tree as it came, and the typed view of what it says.

The tree is the truth. Nothing that is read leniently is written back into it, so that a card which nobody edited is
exported as it was imported; an edit patches only the places that it touches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec

from tertulia.characters.cards.fields import Fields, read_fields
from tertulia.characters.cards.remarks import CardWarning, Remarks
from tertulia.characters.cards.shapes import Format, LorebookKind, Shape
from tertulia.characters.cards.tree import Object, Tree, arm, settle


class Card(msgspec.Struct, frozen=True, dict=True):
    """A character card as it is kept.

    `shape` says how `tree` is laid out, `fallback_name` names a card that has none in it, `prose` is the text that
    stood around the card in a Markdown file.
    """

    shape: Shape
    tree: Tree
    fallback_name: str = ""
    prose: str = ""

    @cached_property
    def reading(self) -> tuple[Fields, tuple[CardWarning, ...]]:
        """What the card says in V3's terms, and what had to be read leniently."""
        remarks = Remarks()
        fields = read_fields(self.tree.root, self.shape, self.fallback_name, remarks)
        if self.tree.literals:  # `character_version: 1.10` is the text "1.10"; what stays an object stays plain
            written = read_fields(arm(self.tree), self.shape, self.fallback_name, Remarks())
            kept = {name: getattr(fields, name) for name in ("extensions", "character_book", "extra")}
            fields = msgspec.structs.replace(written, **kept)
        return fields, remarks.as_tuple()

    def reshaped(self, shape: Shape, root: Object) -> "Card":
        """Return the same card with another tree, which may be armed."""
        return Card(shape, settle(root, Remarks()), self.fallback_name, self.prose)

    @property
    def fields(self) -> Fields:
        """What the card says in V3's terms, whatever its shape."""
        return self.reading[0]


AssetType = str  # icon, background, user_icon, emotion, or an application's own


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    """A file that came inside the container of a card; `uri` is how the card names it, "" if it does not.

    `load` reads it from the container, within its bounds, and raises CardError for a damaged one.
    """

    uri: str
    type: AssetType
    name: str
    ext: str
    size: int
    load: Callable[[], bytes]


class OpeningMessage(msgspec.Struct, frozen=True):
    """A message of a chat that came with a card: all its versions, and which of them was shown."""

    role: Literal["user", "assistant"]
    texts: tuple[str, ...]
    shown: int = 0
    created_at: str = ""


class OpeningChat(msgspec.Struct, frozen=True):
    """A chat that came with a card (BYAF); `background` is a member of the archive, or ""."""

    title: str
    messages: tuple[OpeningMessage, ...]
    background: str = ""


@dataclass(frozen=True, slots=True)
class Character:
    """What became of a file that holds a character.

    `portrait` is the card's own picture, `files` everything that the container carries for it, `extra_members` the
    archive members that nothing in the card names; they stay in the original.
    """

    card: Card
    format: Format
    warnings: tuple[CardWarning, ...] = ()
    portrait: EmbeddedFile | None = None
    files: tuple[EmbeddedFile, ...] = ()
    extra_members: tuple[str, ...] = ()
    chats: tuple[OpeningChat, ...] = ()
    scenarios: int = 0

    @property
    def version(self) -> str:
        """The card's kind in one word: `v1`, `v2`, `v3`, `pygmalion`, `textgen`, `byaf`."""
        return "byaf" if self.format is Format.BYAF else self.card.shape.value


@dataclass(frozen=True, slots=True)
class Lorebook:
    """What became of a file that holds a lorebook: its kind and its parsed JSON, untouched."""

    kind: LorebookKind
    name: str
    tree: dict[str, Any]
    format: Format
    warnings: tuple[CardWarning, ...] = ()


Imported = Character | Lorebook
