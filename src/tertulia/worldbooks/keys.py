"""What a key of an entry is: a word, a text, a regex, or something that macros make each time. Characters, 3.4."""

import re
from enum import Enum, auto
from typing import Final

import msgspec

from tertulia.macros.syntax import may_expand
from tertulia.worldbooks.literals import WORD, has_space, trimmed
from tertulia.worldbooks.regexes import Pattern, Refusal, compile_pattern

_SLASHED: Final = re.compile(r"/(.+?)/([gimsuy]*)", re.DOTALL)
_BARE_SLASH: Final = re.compile(r"(?:^|[^\\])/")


class Matching(msgspec.Struct, frozen=True, gc=False):
    """How literal keys of an entry are compared."""

    fold: bool  # upper and lower case are the same
    whole: bool  # single words match whole words alone
    blank: bool = True  # white space alone matches everything, as in SillyTavern


class Kind(Enum):
    """How a key is looked for."""

    WORD = auto()  # one run of ASCII letters, digits, underscores: found among the words of a text
    TEXT = auto()  # a literal within one piece of the scanned text
    SPANNING = auto()  # a literal with U+0001 in it, which may reach over pieces
    REGEX = auto()
    ANYTHING = auto()  # white space alone: in every text
    NEVER = auto()  # an empty key
    REFUSED = auto()  # a regex that is not run
    DYNAMIC = auto()  # holds macros: known once they are expanded


INDEXED: Final = frozenset((Kind.WORD, Kind.TEXT))  # literals of which an index tells the pieces


class Key(msgspec.Struct, frozen=True, gc=False):
    """A key, ready to be looked for. `written` is as the author has it, `needle` as it is compared."""

    kind: Kind
    written: str
    needle: str = ""
    matching: Matching = Matching(fold=True, whole=True)
    whole: bool = False  # a literal that must not touch a letter: asked for, and a single word
    pattern: Pattern | None = None


def read_key(written: str, matching: Matching) -> Key:
    """Say what a key is before macros are expanded."""
    if may_expand(written):
        return Key(Kind.DYNAMIC, written, matching=matching)
    return expanded_key(written, written, matching)


def expanded_key(written: str, expanded: str, matching: Matching) -> Key:
    """Say what a key is once its macros are expanded: white space round it goes, an empty one never matches."""
    text = trimmed(expanded)
    if not expanded or (not text and not matching.blank):
        return Key(Kind.NEVER, written)
    return plain_key(written, text, matching)


def plain_key(written: str, text: str, matching: Matching) -> Key:
    """Say what a text is as a key, taken as it stands."""
    if (slashed := slashed_regex(text)) is not None:
        compiled = compile_pattern(*slashed)
        if isinstance(compiled, Pattern):
            return Key(Kind.REGEX, written, text, matching, pattern=compiled)
        if compiled is not Refusal.SYNTAX:
            return Key(Kind.REFUSED, written, text, matching)
    needle = text.lower() if matching.fold else text
    whole = matching.whole and not has_space(needle)
    return Key(_literal_kind(needle, whole=whole), written, needle, matching, whole)


def _literal_kind(needle: str, *, whole: bool) -> Kind:
    if not needle:
        return Kind.ANYTHING
    if "\x01" in needle:
        return Kind.SPANNING
    return Kind.WORD if whole and WORD.fullmatch(needle) else Kind.TEXT


def slashed_regex(key: str) -> tuple[str, str] | None:
    r"""Take `/body/flags` apart; None for what is not of this form. The first `\/` becomes a slash."""
    found = _SLASHED.fullmatch(key)
    if found is None or _BARE_SLASH.search(found[1]):
        return None
    return found[1].replace("\\/", "/", 1), found[2]
