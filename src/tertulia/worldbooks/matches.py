"""Where a key was found: for the page, which marks it, and for traces."""

from collections.abc import Sequence

import msgspec

from tertulia.worldbooks.entries import Uid
from tertulia.worldbooks.keys import INDEXED, Key, Kind
from tertulia.worldbooks.literals import JS_SPACE, find_literal
from tertulia.worldbooks.pieces import Piece
from tertulia.worldbooks.regexes import Budget
from tertulia.worldbooks.scan import Scan
from tertulia.worldbooks.settings import Message, ScanSettings
from tertulia.worldbooks.shelf import Candidate

_LOCATING_SECONDS = 0.002


class Author(msgspec.Struct, frozen=True):
    """The entry whose content brought a key up."""

    book: str
    uid: Uid


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A place in what was scanned.

    `where`: message, speaker (the name before it), injection, recursion, or the match source by its name. `index` is
    the message's (oldest 0), the injection's, or the recursion text's; `start`, `end` are offsets in that text, in
    code points. `author` is the entry whose content it is, for recursion.
    """

    where: str
    index: int
    start: int
    end: int
    author: Author | None = None


def locate(scan: Scan, candidate: Candidate, messages: Sequence[Message]) -> Match | None:
    """Find the key of an entry that fired again, and say where; None where it cannot be told."""
    if candidate.key is None:
        return None
    mask, shelf = candidate.mask, candidate.shelf
    key = shelf.index.keys[candidate.key]
    if key.kind in INDEXED:
        seen = scan.pieces.seen(mask & shelf.hits.get(candidate.key, 0), shelf.recursed.get(candidate.key))
    else:
        seen = scan.pieces.seen(mask)
    key = scan.tests.expansion(key)
    found = _regex_place(scan, key, mask, seen) if key.kind is Kind.REGEX else _literal_place(key, seen)
    if found is None:
        return None
    piece, start, end = found
    if piece.origin == "message":
        return _in_message(piece, start, end, messages[piece.number], scan.settings) if messages else None
    author = _author(scan.seeds[piece.number], start) if piece.origin == "recursion" else None
    return Match(where=piece.origin, index=piece.number, start=start, end=end, author=author)


def _literal_place(key: Key, seen: Sequence[Piece]) -> tuple[Piece, int, int] | None:
    for piece in seen:
        text = piece.cased(fold=key.matching.fold)
        at = find_literal(text, key.needle, whole=key.whole) if key.needle else -1
        if at >= 0:
            return piece, _unfolded(piece.text, text, at), _unfolded(piece.text, text, at + len(key.needle))
    return None


def _unfolded(text: str, folded: str, at: int) -> int:
    """Turn an offset in the lower-cased text into one in the text: some letters grow when lower-cased."""
    if len(text) == len(folded):
        return at
    length = 0
    for index, letter in enumerate(text):
        if length >= at:
            return index
        length += len(letter.lower())
    return len(text)


def _regex_place(scan: Scan, key: Key, mask: int, seen: Sequence[Piece]) -> tuple[Piece, int, int] | None:
    if key.pattern is None:
        return None
    _, found = key.pattern.find(scan.pieces.text(mask), Budget(_LOCATING_SECONDS))
    if found is None:
        return None
    offset = 1  # each piece is begun by one character and ended by another
    for piece in seen:
        if found.start <= offset + len(piece.text):
            start = max(found.start - offset, 0)
            return piece, start, max(min(found.end - offset, len(piece.text)), start)
        offset += len(piece.text) + 2
    return None


def _in_message(piece: Piece, start: int, end: int, message: Message, settings: ScanSettings) -> Match:
    prefix = f"{message.name}: " if settings.include_names else ""
    whole = prefix + message.text
    shift = len(whole) - len(whole.lstrip(JS_SPACE)) - len(prefix)
    if start + shift < 0:
        shift += len(prefix)
        return Match(where="speaker", index=piece.number, start=start + shift, end=end + shift)
    return Match(where="message", index=piece.number, start=start + shift, end=end + shift)


def _author(seeds: Sequence[Candidate], at: int) -> Author | None:
    offset = 0
    for candidate in seeds:
        offset += len(candidate.seed) + 1
        if at < offset:
            return Author(candidate.shelf.name, candidate.row.entry.uid)
    return None
