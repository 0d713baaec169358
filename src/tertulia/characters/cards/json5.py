"""Rewrites JSON5 (https://spec.json5.org) and hand-made JSON as JSON, token by token, in linear time.

Old tools wrote card texts that only a JSON5 parser reads. Grammar is left to the JSON parser that gets the result.
"""

import json
import re
from typing import NoReturn

from tertulia.characters.cards.limits import MAX_LENIENT_TOKENS

_TOKEN = re.compile(
    r"""
    (?P<space> [\s\ufeff]++ | //[^\n\r]*+ | /\*(?s:.*?)\*/ )
    | (?P<string> "(?: [^"\\]++ | \\(?s:.) )*+" | '(?: [^'\\]++ | \\(?s:.) )*+' )
    | (?P<number> [+-]?+ (?: 0[xX][0-9a-fA-F]++ | (?: [0-9]++ (?:\.[0-9]*+)?+ | \.[0-9]++ ) (?:[eE][+-]?+[0-9]++)?+ ) )
    | (?P<word> [A-Za-z_$][\w$-]*+ )
    | (?P<mark> [{}\[\]:,] )
    """,
    re.VERBOSE,
)
_KEY_FOLLOWS = re.compile(r"(?: \s++ | /\*(?s:.*?)\*/ )*+ :", re.VERBOSE)
_ESCAPE = re.compile(r"\\(?: u([0-9a-fA-F]{4}) | x([0-9a-fA-F]{2}) | (\r\n|[\s\S]) )", re.VERBOSE)
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_LINE_ENDS = {"\n", "\r", "\r\n", "\u2028", "\u2029"}


class NotJson5Error(Exception):
    """The text has something in it that is no token of JSON5."""


def to_json(text: str) -> str:
    """Return the same value as strict JSON, as far as tokens say. Raises NotJson5Error."""
    out: list[str] = []
    position = 0
    while position < len(text) and len(out) <= MAX_LENIENT_TOKENS:
        match = _TOKEN.match(text, position)
        if match is None:
            _refuse()
        position = match.end()
        if match.lastgroup == "space":
            continue
        token = _rewritten(match, text)
        if token in {"}", "]"} and out and out[-1] == ",":
            out.pop()
        out.append(token)
    return "".join(out) if position == len(text) else _refuse()


def _rewritten(match: re.Match[str], text: str) -> str:
    token = match[0]
    match match.lastgroup:
        case "string":
            return json.dumps(_ESCAPE.sub(_unescaped, token[1:-1]))
        case "number":
            return _number(token)
        case "word":
            return _word(token, is_key=_KEY_FOLLOWS.match(text, match.end()) is not None)
        case _:
            return token


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code:
        return chr(int(code, 16))
    return "" if match[3] in _LINE_ENDS else _PLAIN.get(match[3], match[3])


def _number(token: str) -> str:
    sign = "-" if token.startswith("-") else ""
    body = token.lstrip("+-")
    if body[:2].lower() == "0x":
        return sign + str(int(body, 0)) if len(body) <= 34 else _refuse()
    mantissa, _, exponent = body.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    written = sign + (whole or "0")
    if fraction:
        written += "." + fraction
    return written + ("e" + exponent if exponent else "")


def _word(token: str, *, is_key: bool) -> str:
    if is_key:
        return json.dumps(token)
    return token if token in {"true", "false", "null"} else _refuse()


def _refuse() -> NoReturn:
    raise NotJson5Error
