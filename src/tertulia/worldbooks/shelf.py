"""The books of one scan: their order, what was found of their keys, and the entries that it concerns."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from tertulia.worldbooks.index import Index, PreparedBook, Row, view_of
from tertulia.worldbooks.pieces import Piece
from tertulia.worldbooks.reasons import STAGE, Reason
from tertulia.worldbooks.settings import ScanSettings

Scope = Literal["global", "chat", "persona", "character"]
Rank = tuple[int, float, int, int, int]

# A book that several sources name is used once, by the first of these.
_PRECEDENCE: Final[tuple[Scope, ...]] = ("global", "chat", "persona", "character")


class PlacedBook(msgspec.Struct, frozen=True):
    """A book and why it is in the scan."""

    scope: Scope
    book: PreparedBook


class Candidate:
    """An entry that the scan has reason to look at; it changes as the scan goes on."""

    __slots__ = (
        "active",
        "content",
        "cooling",
        "forced",
        "how",
        "key",
        "mask",
        "out",
        "rank",
        "reason",
        "row",
        "shelf",
        "sticky",
        "sweep",
        "tokens",
    )

    def __init__(self, row: Row, shelf: "Shelf", rank: Rank) -> None:
        self.row = row
        self.shelf = shelf
        self.rank = rank
        self.sticky = False
        self.cooling = False
        self.forced = False
        self.active = False
        self.out = False  # can never fire in this scan
        self.how = Reason.KEY  # it was last taken
        self.reason: Reason | None = None
        self.key: int | None = None  # the number of the key that matched
        self.mask = 0  # of the pieces that it saw then
        self.sweep = 0
        self.content: str | None = None  # with macros expanded, once it got so far
        self.tokens = 0

    @property
    def body(self) -> str:
        """Give the content, expanded if it has been."""
        return self.row.content if self.content is None else self.content

    @property
    def seed(self) -> str:
        """Give what later sweeps may find: the content, and its hidden keys."""
        return f"{self.body}\n{self.row.hidden}" if self.row.hidden else self.body

    def blame(self, reason: Reason) -> None:
        """Say why the entry does not fire; what came further stays."""
        if self.reason is None or STAGE[reason] >= STAGE[self.reason]:
            self.reason = reason


class Shelf:
    """One book in one scan."""

    def __init__(self, placed: PlacedBook, index: Index, base: tuple[int, int], number: int) -> None:
        self.scope: Scope = placed.scope
        self.name = placed.book.book.name
        self.identity = placed.book.identity
        self.index = index
        self.hits: dict[int, int] = {}  # key number: mask of pieces where it is, or where a regex may match
        self.recursed: dict[int, Piece] = {}  # key number: the first text of a sweep in which it came up
        self.candidates: dict[int, Candidate] = {}
        self.touched: list[Candidate] = []  # new, or with a key found, since the scan last took them
        self._section, self._subsection = base
        self._number = number

    def candidate(self, number: int) -> Candidate:
        """Give the candidate for a row, making it at first."""
        known = self.candidates.get(number)
        if known is None:
            row = self.index.rows[number]
            rank = (self._section, -row.entry.order, self._subsection, self._number, number)
            known = self.candidates[number] = Candidate(row, self, rank)
            self.touched.append(known)
        return known

    def force(self, uid: int | str) -> None:
        """Bring in an entry from outside, by its uid or by `<book>.<uid>`."""
        own = uid.removeprefix(f"{self.name}.") if isinstance(uid, str) else uid
        number = self.index.uids.get(own)
        if number is None and isinstance(own, str) and own.isascii() and own.isdecimal():
            number = self.index.uids.get(int(own[:16]))
        if number is not None:
            self.candidate(number).forced = True

    def take_touched(self) -> list[Candidate]:
        """Give the candidates about which something is new, and forget which they were."""
        touched, self.touched = self.touched, []
        return touched

    def look(self, piece: Piece) -> None:
        """Take in a piece of text: note which keys are in it, and make candidates of their entries."""
        for number in self.index.candidates(piece):
            self.hits[number] = self.hits.get(number, 0) | piece.bit
            if piece.origin == "recursion":
                self.recursed.setdefault(number, piece)
            self.touched += [self.candidate(row) for row in self.index.owners[number]]
            self.touched += [self.candidates[row] for row in self.index.users[number] if row in self.candidates]


def arrange(books: Iterable[PlacedBook], settings: ScanSettings) -> list[Shelf]:
    """Put the books in the order of SillyTavern: chat, persona, then by the strategy; each but once."""
    placed: dict[str, PlacedBook] = {}
    for book in sorted(books, key=lambda book: _PRECEDENCE.index(book.scope)):
        placed.setdefault(book.book.identity, book)
    view = view_of(settings)
    bases = _bases(settings.strategy)
    return [
        Shelf(book, book.book.index(view), bases[book.scope], number) for number, book in enumerate(placed.values())
    ]


def _bases(strategy: int) -> dict[Scope, tuple[int, int]]:
    """Give section and, within one section, what goes first at equal order."""
    character, everywhere = {0: ((2, 1), (2, 0)), 2: ((3, 0), (2, 0))}.get(strategy, ((2, 0), (3, 0)))
    return {"chat": (0, 0), "persona": (1, 0), "character": character, "global": everywhere}
