"""Rules for the fields of a body: each takes the place and the value, gives the value, or raises `Invalid`."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn, cast

import msgspec

from tertulia.kernel.errors import Invalid
from tertulia.kernel.ids import parse_id

Json = dict[str, Any]
Rule = Callable[[str, Any], Any]

_PLACED: Final = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$(?P<at>[^`]*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\[(\.\.\.|\d+)\]")
_EXPECTED: Final = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_CHOSEN: Final = re.compile(r"Invalid (?:enum )?value (?P<value>.*)", re.DOTALL)
_NAMES: Final = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def refuse(path: str, message: str) -> NoReturn:
    """Raise `Invalid` with a message that begins with the place."""
    error = Invalid(f"`{path}` {message}", path=path)
    raise error


def kind_of(value: Any) -> str:
    """Name the JSON kind of a value."""
    if value is None:
        return "null"
    for kind, name in ((bool, "true or false"), (int | float, "a number"), (str, "a text"), (list, "a list")):
        if isinstance(value, kind):
            return name
    return "an object"


def number(low: float, high: float) -> Rule:
    """Take a number from `low` to `high`."""

    def rule(path: str, value: Any) -> Any:
        if type(value) is not float and type(value) is not int:
            refuse(path, f"must be a number, not {kind_of(value)}.")
        if not low <= value <= high:
            refuse(path, f"must be between {low:g} and {high:g}.")
        return value

    return rule


def integer(low: int, high: int) -> Rule:
    """Take a whole number from `low` to `high`; `3.0` is one too."""

    def rule(path: str, value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            refuse(path, f"must be a whole number, not {'a fraction' if type(value) is float else kind_of(value)}.")
        if not low <= value <= high:
            refuse(path, f"must be between {low} and {high}." if high < 1 << 31 else f"must be at least {low}.")
        return value

    return rule


def boolean(path: str, value: Any) -> bool:
    """Take true or false."""
    if type(value) is not bool:
        refuse(path, f"must be true or false, not {kind_of(value)}.")
    return value


def text(most: int, least: int = 0) -> Rule:
    """Take a text of so many characters."""

    def rule(path: str, value: Any) -> str:
        if type(value) is not str:
            refuse(path, f"must be a text, not {kind_of(value)}.")
        if not least <= len(value) <= most:
            refuse(path, f"must have at most {most} characters." if value else "must not be empty; leave it out.")
        return value

    return rule


def one_of(*words: str) -> Rule:
    """Take one of a few words."""

    def rule(path: str, value: Any) -> str:
        if value not in words:
            refuse(path, f"must be one of {', '.join(words)}.")
        return value

    return rule


def listed(rule: Rule, most: int) -> Rule:
    """Take a list of at most so many values, each by a rule."""

    def check(path: str, value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            refuse(path, f"must be a list, not {kind_of(value)}.")
        if len(cast("list[Any]", value)) > most:
            refuse(path, f"must have at most {most} entries.")
        return tuple(rule(f"{path}.{n}", each) for n, each in enumerate(cast("list[Any]", value)))

    return check


def obj(path: str, value: Any) -> Json:
    """Take an object."""
    if type(value) is not dict:
        refuse(path, f"must be an object, not {kind_of(value)}.")
    return cast("Json", value)


def uuid(path: str, value: Any) -> bytes:
    """Take an id."""
    found = parse_id(value) if type(value) is str else None
    if found is None:
        refuse(path, "must be an id: a UUID of 36 characters.")
    return found


def camel(name: str) -> str:
    """Give the camelCase spelling of a snake_case name."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def twins(names: Iterable[str]) -> dict[str, str]:
    """Give the snake_case name of each camelCase spelling that differs from it."""
    return {camel(name): name for name in names if "_" in name}


def one_spelling(fields: Json, spellings: Mapping[str, str], path: str = "") -> Json:
    """Give the fields by their snake_case names.

    Raises `Invalid` where both spellings stand there with different values.
    """
    if spellings.keys().isdisjoint(fields):
        return fields
    found: Json = {name: value for name, value in fields.items() if name not in spellings}
    for name, value in fields.items():
        snake = spellings.get(name)
        if snake is not None and found.setdefault(snake, value) != value:
            refuse(f"{path}{name}", f"and `{snake}` are the same field with different values. Send one of them.")
    return found


def placed(error: msgspec.ValidationError, base: str, choices: Mapping[str, str]) -> Invalid:
    """Say what msgspec found wrong, where, and what to send instead.

    `base` is the place of the whole value; `choices` are the words that a field takes, by its name.
    """
    found = _PLACED.fullmatch(str(error))
    what, at = (found["what"], found["at"] or "") if found else (str(error), "")
    path = base + _STEP.sub(r".\1", at)
    if missing := _MISSING.fullmatch(what):
        path = f"{path}.{missing['name']}"
        return Invalid(f"`{path}` is required.", path=path)
    if chosen := _CHOSEN.fullmatch(what):
        words = choices.get(path.rpartition(".")[2], "")
        return Invalid(f"`{path}` is {chosen['value'][:80]}. Use one of {words}.", path=path)
    if expected := _EXPECTED.fullmatch(what):
        wanted = " or ".join(_NAMES.get(kind, kind) for kind in expected["wanted"].split(" | "))
        return Invalid(f"`{path}` must be {wanted}, not {_NAMES.get(expected['got'], expected['got'])}.", path=path)
    return Invalid(f"`{path}`: {what}.", path=path)
