"""Keys that are no regex: JavaScript's idea of white space, case and words. Source: characters, 3.4."""

import re
from typing import Final

JS_SPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
WORD: Final = re.compile(r"[0-9A-Za-z_]+")
_ANY_SPACE: Final = re.compile(f"[{JS_SPACE}]")
_WORD_LETTERS: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_SEPARATED: Final = bytes(code if chr(code) in _WORD_LETTERS else 0x20 for code in range(256))
_PATIENCE: Final = 64


def trimmed(text: str) -> str:
    """Take off what JavaScript's `trim` does."""
    return text.strip(JS_SPACE)


def has_space(text: str) -> bool:
    """Say whether a key has several words: it is then looked for as it is, inside words too."""
    return _ANY_SPACE.search(text) is not None


def find_whole(text: str, needle: str, start: int = 0) -> int:
    """Find a text that no ASCII letter, digit or underscore touches on either side; -1 if there is none."""
    at = text.find(needle, start)
    for _ in range(_PATIENCE):
        if at < 0:
            return -1
        end = at + len(needle)
        if text[at - 1 : at] not in _WORD_LETTERS and text[end : end + 1] not in _WORD_LETTERS:
            return at
        at = text.find(needle, at + 1)
    # Many touching occurrences: the engine steps over them faster than this loop.
    found = re.compile(f"(?<![0-9A-Za-z_]){re.escape(needle)}(?![0-9A-Za-z_])").search(text, max(at, 0))
    return found.start() if found and at >= 0 else -1


def find_literal(text: str, needle: str, *, whole: bool, start: int = 0) -> int:
    """Find a key in a text of the same case; -1 if it is not there."""
    return find_whole(text, needle, start) if whole else text.find(needle, start)


def words_of(text: str) -> list[bytes]:
    """Give the runs of ASCII letters, digits and underscores, as bytes: what a key of one word is compared with."""
    return text.encode(errors="replace").translate(_SEPARATED).split()
