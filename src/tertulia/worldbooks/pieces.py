"""The scanned text in pieces: messages, match sources, injections, and what each sweep brought up.

A literal key lies within one piece, so each piece is taken apart once, and a key's finds are a mask of pieces. A
regex sees the whole text: the pieces, each begun by U+0001, joined by line feeds. Source: characters, 3.3.
"""

import itertools
from collections.abc import Sequence
from typing import Final, cast

from tertulia.worldbooks.keys import Key
from tertulia.worldbooks.literals import find_literal, trimmed, words_of
from tertulia.worldbooks.regexes import Haystack
from tertulia.worldbooks.settings import MAX_SCAN_DEPTH, Message, ScanSettings, Scene

MATCH_SOURCES: Final = (
    "persona_description",
    "character_description",
    "character_personality",
    "character_depth_prompt",
    "scenario",
    "creator_notes",
)
_SOURCE_BITS: Final = len(MATCH_SOURCES)
_INJECTED: Final = 1 << _SOURCE_BITS
_RECURSED: Final = 1 << (_SOURCE_BITS + 1)
_FIRST_MESSAGE: Final = _SOURCE_BITS + 2


class Piece:
    """One piece of text, lower-cased and taken apart when first asked. `origin` and `number` say where it is from."""

    __slots__ = ("_data", "_lower", "_words", "bit", "number", "origin", "text")

    def __init__(self, text: str, bit: int, origin: str, number: int = 0) -> None:
        self.text = text
        self.bit = bit
        self.origin = origin
        self.number = number
        self._lower: str | None = None
        self._words: dict[bool, list[bytes]] = {}
        self._data: dict[bool, bytes] = {}

    def cased(self, *, fold: bool) -> str:
        """Give the text, lower-cased if case does not count."""
        if not fold:
            return self.text
        if self._lower is None:
            self._lower = self.text.lower()
        return self._lower

    def words(self, *, fold: bool) -> list[bytes]:
        """Give the runs of ASCII letters, digits and underscores."""
        if fold not in self._words:
            self._words[fold] = words_of(self.cased(fold=fold))
        return self._words[fold]

    def data(self, *, fold: bool) -> bytes:
        """Give the text as bytes."""
        if fold not in self._data:
            self._data[fold] = self.cased(fold=fold).encode(errors="replace")
        return self._data[fold]

    def holds(self, key: Key) -> bool:
        """Say whether a literal key is in this piece."""
        return find_literal(self.cased(fold=key.matching.fold), key.needle, whole=key.whole) >= 0


_NO_CHAT: Final = (Piece("", 1 << _FIRST_MESSAGE, "message"),)


class Pieces:
    """All that one scan may look at. Messages are newest first; recursion texts are added as sweeps bring them."""

    def __init__(self, messages: Sequence[Message], scene: Scene, settings: ScanSettings) -> None:
        newest = messages[::-1][:MAX_SCAN_DEPTH]
        self.messages = [
            Piece(spoken(message, settings), 1 << (at + _FIRST_MESSAGE), "message", len(messages) - 1 - at)
            for at, message in enumerate(newest)
        ]
        self.sources = [
            Piece(text, 1 << bit, name)
            for bit, name in enumerate(MATCH_SOURCES)
            if (text := cast("str", getattr(scene, name)))
        ]
        self.injections = [Piece(text, _INJECTED, "injection", at) for at, text in enumerate(scene.injections) if text]
        self.recursed: list[Piece] = []
        self._present = sum(piece.bit for piece in self.sources)
        self._texts: dict[tuple[int, int], Haystack] = {}

    def fixed(self) -> list[Piece]:
        """Give the pieces that are there from the start, besides the messages."""
        return [*self.sources, *self.injections]

    def recurse(self, text: str) -> Piece:
        """Add what a sweep brought up."""
        piece = Piece(text, _RECURSED, "recursion", len(self.recursed))
        self.recursed.append(piece)
        return piece

    def mask(self, depth: int, sources: int, *, recursed: bool) -> int:
        """Say which pieces an entry sees: its newest messages and what it asks for; at depth 0 nothing at all."""
        if depth <= 0:
            return 0
        messages = (1 << min(depth, max(len(self.messages), 1))) - 1
        rest = (sources & self._present) | _INJECTED | (_RECURSED if recursed else 0)
        return (messages << _FIRST_MESSAGE) | rest

    def seen(self, mask: int, recursed: Piece | None = None) -> list[Piece]:
        """Give the pieces of a mask in the order of the text; of what sweeps brought up only one, if it is named."""
        brought = self.recursed if recursed is None else (recursed,)
        every = itertools.chain(self.messages or _NO_CHAT, self.sources, self.injections, brought)
        return [piece for piece in every if piece.bit & mask]

    def text(self, mask: int) -> Haystack:
        """Give the text that an entry with this mask sees, as regexes do."""
        recursed = len(self.recursed) if mask & _RECURSED else 0
        hay = self._texts.get((mask, recursed))
        if hay is None:
            joined = "\n".join(f"\x01{piece.text}" for piece in self.seen(mask))
            hay = self._texts[mask, recursed] = Haystack(joined)
        return hay


def spoken(message: Message, settings: ScanSettings) -> str:
    """Give a message as it is scanned."""
    return trimmed(f"{message.name}: {message.text}" if settings.include_names else message.text)
