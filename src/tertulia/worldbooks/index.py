"""A book made ready for scanning, so that a scan looks at the words of a text and not at the keys of a book.

Keys of one word are found through the words of a text, other literals and what a regex needs by one automaton that
reads the text once. What is left is tested one by one. An index is immutable once built.
"""

from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from tertulia.worldbooks.decorators import Decorators, split_decorators, split_hidden_keys
from tertulia.worldbooks.entries import Entry
from tertulia.worldbooks.keys import INDEXED, Key, Kind, Matching, read_key
from tertulia.worldbooks.literalset import LiteralSet
from tertulia.worldbooks.lorebook import Lorebook
from tertulia.worldbooks.pieces import MATCH_SOURCES, Piece
from tertulia.worldbooks.settings import ScanSettings
from tertulia.worldbooks.timed import Timed, fingerprint, timed_name


class View(msgspec.Struct, frozen=True):
    """The settings on which the reading of a book hangs."""

    case_sensitive: bool = False
    match_whole_words: bool = True
    st_strict: bool = True


class Row(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An entry as a scan needs it. Keys are numbers into `Index.keys`; `sources` has one bit a match source.

    `content` is without decorators; `hidden` is what only recursion sees; a `restless` one has keys of which the index
    cannot say that nothing has changed.
    """

    number: int
    entry: Entry
    book: Lorebook
    content: str
    hidden: str
    decorators: Decorators
    matching: Matching
    primary: tuple[int, ...]
    secondary: tuple[int, ...]
    restless: bool
    scan_depth: int | None
    level: float  # of delayUntilRecursion; 0: none
    sources: int
    groups: tuple[str, ...]
    timed: Timed | None


class Index:
    """The rows and keys of one book under one view, with the ways to find them."""

    def __init__(self, book: Lorebook, view: View) -> None:
        self.book = book
        self.keys: list[Key] = []
        self.owners: list[list[int]] = []  # by key: the rows that have it as a primary one
        self.users: list[list[int]] = []  # by key: the rows that have it as a secondary one
        self._numbers: dict[tuple[str, Matching], int] = {}
        self.rows = tuple(self._row(number, entry, view) for number, entry in enumerate(in_order(book.entries)))
        self._words: dict[bool, dict[bytes, list[int]]] = {True: {}, False: {}}
        self._literals: dict[bool, LiteralSet] = {True: LiteralSet(), False: LiteralSet()}
        self.loose = self._arrange()
        self.always = tuple(row.number for row in self.rows if self._is_always(row))
        self.timed = tuple((row.number, row.timed) for row in self.rows if row.timed is not None)
        self.deepest = max((row.scan_depth for row in self.rows if row.scan_depth is not None), default=0)
        self.levels = frozenset(row.level for row in self.rows if row.level)
        self.uids: dict[int | str, int] = {row.entry.uid: row.number for row in reversed(self.rows)}

    # Building

    def _row(self, number: int, entry: Entry, view: View) -> Row:
        decorators, content = split_decorators(entry.content, st_strict=view.st_strict)
        content, hidden = (content, "") if view.st_strict else split_hidden_keys(content)
        matching = Matching(
            fold=not (view.case_sensitive if entry.case_sensitive is None else entry.case_sensitive),
            whole=view.match_whole_words if entry.match_whole_words is None else entry.match_whole_words,
            blank=view.st_strict,
        )
        primary = tuple(self._number(key, matching) for key in entry.key)
        secondary = tuple(self._number(key, matching) for key in entry.keysecondary)
        for key in primary:
            self.owners[key].append(number)
        for key in secondary:
            self.users[key].append(number)
        return Row(
            number=number,
            entry=entry,
            book=self.book,
            content=content,
            hidden=hidden,
            decorators=decorators,
            matching=matching,
            primary=primary,
            secondary=secondary,
            restless=any(self.keys[key].kind not in INDEXED for key in (*primary, *secondary)),
            scan_depth=_first(decorators.scan_depth, entry.scan_depth, self.book.scan_depth or None),
            level=float(entry.delay_until_recursion),
            sources=sum(1 << bit for bit, name in enumerate(MATCH_SOURCES) if getattr(entry, f"match_{name}")),
            groups=group_names(entry.group, st_strict=view.st_strict),
            timed=_timed(self.book.name, entry, decorators),
        )

    def _number(self, written: str, matching: Matching) -> int:
        known = self._numbers.get((written, matching))
        if known is not None:
            return known
        self._numbers[written, matching] = number = len(self.keys)
        self.keys.append(read_key(written, matching))
        self.owners.append([])
        self.users.append([])
        return number

    def _arrange(self) -> frozenset[int]:
        """Put every key where it is found; give those that have to be tested by themselves."""
        loose: set[int] = set()
        for number, key in enumerate(self.keys):
            if key.kind is Kind.WORD:
                self._words[key.matching.fold].setdefault(key.needle.encode(), []).append(number)
            elif key.kind is Kind.TEXT:
                self._literals[key.matching.fold].add(key.needle, number)
            elif key.kind is Kind.REGEX and key.pattern and key.pattern.atoms:
                for atom in key.pattern.atoms:
                    self._literals[True].add(atom, number)
            elif key.kind is not Kind.NEVER:
                loose.add(number)
        for literals in self._literals.values():
            literals.build()
        return frozenset(loose)

    def _is_always(self, row: Row) -> bool:
        taken = row.entry.constant or row.decorators.activate or row.decorators.remembers
        return taken or not self.loose.isdisjoint(row.primary)

    # Looking

    def candidates(self, piece: Piece) -> Iterator[int]:
        """Give the keys that are in a piece of text; a regex only may match there."""
        for fold, words in self._words.items():
            if words:
                for word in words.keys() & piece.words(fold=fold):
                    yield from words[word]
        for fold, literals in self._literals.items():
            if literals:
                for number in literals.found(piece.data(fold=fold)):
                    key = self.keys[number]
                    if key.kind is Kind.REGEX or piece.holds(key):
                        yield number


class PreparedBook:
    """A book with its indexes, one for each view that was asked for. Keep it with the book's version."""

    def __init__(self, book: Lorebook, *, identity: str = "") -> None:
        self.book = book
        self.identity = identity or book.name
        self._indexes: dict[View, Index] = {}

    def index(self, view: View) -> Index:
        """Give the index for a view; the first call builds it, which costs some 10 µs a key."""
        index = self._indexes.get(view)
        if index is None:
            index = self._indexes[view] = Index(self.book, view)
        return index


def prepare(book: Lorebook, *, identity: str = "", settings: ScanSettings | None = None) -> PreparedBook:
    """Make a book ready; with settings its index is built now. `identity` tells books of one name apart."""
    prepared = PreparedBook(book, identity=identity)
    if settings is not None:
        prepared.index(view_of(settings))
    return prepared


def view_of(settings: ScanSettings) -> View:
    """Take from the settings what an index hangs on."""
    return View(settings.case_sensitive, settings.match_whole_words, settings.st_strict)


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Put entries as a JavaScript object does: whole uids ascending, then the others as they come."""
    whole = [entry for entry in entries if isinstance(entry.uid, int)]
    named = [entry for entry in entries if not isinstance(entry.uid, int)]
    return [*sorted(whole, key=lambda entry: cast("int", entry.uid)), *named]


def group_names(group: str, *, st_strict: bool) -> tuple[str, ...]:
    """Split a comma list of groups; SillyTavern leaves white space before a comma in the name."""
    parts: Sequence[str] = group.split(",")
    if st_strict:
        return tuple(part for part in (parts[0], *(part.lstrip() for part in parts[1:])) if part)
    return tuple(part for part in map(str.strip, parts) if part)


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _timed(book: str, entry: Entry, decorators: Decorators) -> Timed | None:
    if entry.sticky or entry.cooldown or decorators.remembers:
        return Timed(timed_name(book, entry), fingerprint(book, entry), entry, decorators.remembers)
    return None
