"""A place in a pattern that is being read, and the parts of a regex that need no more than that."""

import re
from typing import Final

from tertulia.kernel.errors import Invalid
from tertulia.worldbooks.regexes.nodes import OneOf, Perl, Property, Span

_CONTROL: Final = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D}
_SYNTAX_CHARACTERS: Final = frozenset("^$\\.*+?()[]{}|/")
_OCTAL: Final = re.compile(r"[0-3][0-7]{0,2}|[4-7][0-7]?")
_HEX: Final = {"x": re.compile(r"[0-9A-Fa-f]{2}"), "u": re.compile(r"[0-9A-Fa-f]{4}")}
_BRACED_HEX: Final = re.compile(r"\{0*([0-9A-Fa-f]{1,6})\}")
_LOW_SURROGATE: Final = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")
_PROPERTY: Final = re.compile(r"\{(?:(?:Script|sc|Script_Extensions|scx|General_Category|gc)=)?([A-Za-z_]+)\}")
_PERL: Final = {letter: Perl(letter) for letter in ("d", "D", "w", "W", "s", "S")}

ClassItem = Span | Perl | Property


class RegexSyntaxError(Invalid):
    """A pattern that JavaScript itself refuses."""


class Cursor:
    """Reads a pattern from the left; `unicode` is the `u` flag, without which JavaScript forgives a lot."""

    def __init__(self, text: str, *, unicode: bool) -> None:
        self.text = text
        self.at = 0
        self.unicode = unicode

    @property
    def ended(self) -> bool:
        """Say whether nothing is left."""
        return self.at >= len(self.text)

    @property
    def ahead(self) -> str:
        """Give the next character without taking it; "" at the end."""
        return self.text[self.at : self.at + 1]

    def sees(self, text: str) -> bool:
        """Say whether a text comes next."""
        return self.text.startswith(text, self.at)

    def take(self, text: str) -> bool:
        """Go past a text, if it comes next."""
        if self.sees(text):
            self.at += len(text)
            return True
        return False

    def take_match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past what a pattern matches here."""
        if found := pattern.match(self.text, self.at):
            self.at = found.end()
        return found

    def next(self) -> str:
        """Take one character; raises RegexSyntaxError at the end."""
        if self.ended:
            raise RegexSyntaxError("the pattern ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def class_escape(self, char: str) -> Perl | Property | None:
        r"""Read what follows `\d`, `\w`, `\s` or `\p`, the character after the backslash having been taken."""
        if char in _PERL:
            return _PERL[char]
        if char not in "pP" or not self.unicode:
            return None
        found = self.take_match(_PROPERTY)
        if found is None:
            raise RegexSyntaxError("an invalid property name")
        return Property(found[1], char == "P")

    def character_escape(self, char: str) -> int:
        """Read an escape that stands for one character, the one after the backslash having been taken."""
        if char in _CONTROL:
            return _CONTROL[char]
        if char == "c":
            return self._control_letter()
        if char in "01234567":
            return self._zero(char)
        if char in "xu":
            return self._hexadecimal(char)
        if self.unicode and char not in _SYNTAX_CHARACTERS:
            raise RegexSyntaxError(f"an invalid escape: \\{char}")
        return ord(char)

    def octal(self) -> int:
        r"""Read the old form `\101`, whose first digit has been taken."""
        self.at -= 1
        found = self.take_match(_OCTAL)
        return int(found[0], 8) if found else 0

    def _control_letter(self) -> int:
        letter = self.ahead
        if letter.isascii() and letter.isalpha():
            self.at += 1
            return ord(letter) % 32
        if self.unicode:
            raise RegexSyntaxError("an invalid control escape")
        self.at -= 1  # the backslash stands for itself, and the c comes again
        return ord("\\")

    def _zero(self, char: str) -> int:
        if not self.unicode:
            return self.octal()
        if char != "0" or self.ahead.isdecimal():
            raise RegexSyntaxError("an invalid decimal escape")
        return 0

    def _hexadecimal(self, kind: str) -> int:
        if kind == "u" and self.unicode and self.sees("{"):
            found = self.take_match(_BRACED_HEX)
            if found is None or int(found[1], 16) > 0x10FFFF:
                raise RegexSyntaxError("an undefined Unicode code point")
            return int(found[1], 16)
        found = self.take_match(_HEX[kind])
        if found is not None:
            return self._joined_surrogates(int(found[0], 16))
        if self.unicode:
            raise RegexSyntaxError("an invalid hexadecimal escape")
        return ord(kind)

    def _joined_surrogates(self, high: int) -> int:
        r"""Join `\ud83d\ude00` into one code point: our texts are code points, whatever the flag."""
        if 0xD800 <= high < 0xDC00:
            low = self.take_match(_LOW_SURROGATE)
            if low is not None:
                return 0x10000 + ((high - 0xD800) << 10) + (int(low[1], 16) - 0xDC00)
        return high


def read_class(cursor: Cursor) -> OneOf:
    """Read a class, whose opening bracket has been taken."""
    negated = cursor.take("^")
    items: list[ClassItem] = []
    while not cursor.take("]"):
        first = _class_atom(cursor)
        if cursor.sees("-") and not cursor.sees("-]"):
            cursor.at += 1
            items += _ranged(first, _class_atom(cursor), unicode=cursor.unicode)
        else:
            items.append(first)
    return OneOf(tuple(items), negated)


def _class_atom(cursor: Cursor) -> ClassItem:
    char = cursor.next()
    if char != "\\":
        return _one(ord(char))
    char = cursor.next()
    if (item := cursor.class_escape(char)) is not None:
        return item
    if char == "b":
        return _one(0x08)
    if char == "-":
        return _one(0x2D)
    if char == "c" and not cursor.unicode and cursor.ahead.isdecimal():
        return _one(ord(cursor.next()) % 32)
    return _one(cursor.character_escape(char))


def _one(code: int) -> Span:
    return Span(code, code)


def _ranged(first: ClassItem, last: ClassItem, *, unicode: bool) -> list[ClassItem]:
    if isinstance(first, Span) and isinstance(last, Span):
        if first.low > last.high:
            raise RegexSyntaxError("a range out of order in a character class")
        return [Span(first.low, last.high)]
    if unicode:
        raise RegexSyntaxError("an invalid range in a character class")
    return [first, _one(0x2D), last]
