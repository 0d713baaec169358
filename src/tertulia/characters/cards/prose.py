"""Cards in files that people write by hand: Markdown with a card in it, W++, plain prose."""

import re
from typing import Final

from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.json_text import parse_json_text
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.shapes import Format, Found, recognise
from tertulia.characters.cards.tree import Object, Tree
from tertulia.characters.cards.yaml_text import dump_yaml, parse_yaml

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^```[ \t]*json5?[ \t]*\r?\n(.*?)^```[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE | re.IGNORECASE)
_HEADING = re.compile(r"^#{1,6}[ \t]+([^\r\n]{1,200})", re.MULTILINE)
_WPP_NAME = re.compile(r"\bcharacter[ \t]*\([ \t]*[\"“]([^\"”\r\n]{1,200})[\"”]", re.IGNORECASE)
_MAX_FENCES: Final = 8
_V1_EMPTY: Final = ("personality", "scenario", "first_mes", "mes_example")


def find_in_markdown(text: str, remarks: Remarks) -> Found | None:
    """Return the card or lorebook of a Markdown text, from its front matter or a fenced block; None if it has none.

    Raises CardError for what is hostile; what is merely unreadable is taken for prose.
    """
    front = _FRONT_MATTER.match(text)
    if front and (tree := _tried_yaml(front[1], remarks)) and (kind := recognise(tree.root, remarks)):
        return Found(kind, tree, Format.MD, text[front.end() :])
    for count, fence in enumerate(_FENCE.finditer(text)):
        if count >= _MAX_FENCES:
            break
        if (tree := tried_json(fence[1], remarks)) and (kind := recognise(tree.root, remarks)):
            return Found(kind, tree, Format.MD, text[: fence.start()] + text[fence.end() :])
    return None


def tried_json(text: str, remarks: Remarks) -> Tree | None:
    """Return the text's JSON object, or None if it is none. Raises CardError for what is hostile."""
    try:
        return parse_json_text(text, remarks)
    except CardError as problem:
        if problem.hostile:
            raise
        return None


def _tried_yaml(text: str, remarks: Remarks) -> Tree | None:
    try:
        return parse_yaml(text, remarks)
    except CardError as problem:
        if problem.hostile:
            raise
        return None


def character_of_prose(text: str, fallback_name: str, remarks: Remarks) -> Object:
    """Return a V1 card that has the whole text as its description."""
    wpp = _WPP_NAME.search(text)
    named = wpp or _HEADING.search(text)
    name = named[1].strip(" \t#*_") if named else ""
    form = "W++" if wpp else "plain text"
    remarks.add("plain_text", f"The file is {form}, not a card: all of it became the description. Please check it.")
    return blank_card(name or fallback_name, text)


def blank_card(name: str, description: str = "") -> Object:
    """Return a V1 card that has only a name and a description."""
    return {"name": name, "description": description, **dict.fromkeys(_V1_EMPTY, "")}


def to_markdown(root: Object, prose: str) -> str:
    """Return a Markdown text with the card as its front matter and `prose` after it."""
    return f"---\n{dump_yaml(root)}---\n{prose}"
