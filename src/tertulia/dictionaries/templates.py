r"""What a regex is replaced by: text with `\1`, `\g<1>`, `\g<name>`, `\n`, `\t`, `\\`."""

import re
from collections.abc import Mapping
from typing import Final

from tertulia.dictionaries.rules import Spans

Template = tuple[str | int, ...]
_REFERENCE: Final = re.compile(r"\\(?:g<(\w+)>|([1-9]\d?)|([nrt\\]))")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def parse_template(replacement: str, names: Mapping[str, int]) -> Template:
    """Read a replacement: texts, and the numbers of the groups that go between them."""
    parts: list[str | int] = []
    done = 0
    for found in _REFERENCE.finditer(replacement):
        parts += [replacement[done : found.start()], _part(found, names)]
        done = found.end()
    return (*parts, replacement[done:])


def _part(found: re.Match[str], names: Mapping[str, int]) -> str | int:
    name, number, escape = found.groups()
    if escape:
        return _ESCAPES[escape]
    if number:
        return int(number)
    if name.isdecimal():
        return int(name)
    return names.get(name, found[0])


def fill(template: Template, text: str, spans: Spans) -> str:
    """Give the replacement for one match; a group that took no part, or does not exist, is empty."""
    return "".join(part if isinstance(part, str) else _group(text, spans, part) for part in template)


def _group(text: str, spans: Spans, number: int) -> str:
    span = spans[number] if number < len(spans) else None
    return "" if span is None else text[span[0] : span[1]]
