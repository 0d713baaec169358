"""A dictionary and its rules as values. Fields are those of the contract (characters, 4.0), and `phase`."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from tertulia.kernel.errors import Invalid

Phase = Literal["pre", "post", "both"]
RuleType = Literal["literal", "regex"]
Spans = tuple[tuple[int, int] | None, ...]

MAX_PATTERN: Final = 500  # characters
MAX_NAME: Final = 100
MAX_DESCRIPTION: Final = 500
MAX_TAGS: Final = 20
MAX_TAG: Final = 40
MAX_INCLUDES: Final = 50
_SLASHED: Final = re.compile(r"/(.+)/([gimsuyx]*)", re.DOTALL)


class Pattern(Protocol):
    """A regex that cannot stall. The engine belongs to a room beside this one, and is handed in."""

    @property
    def names(self) -> Mapping[str, int]:
        """Give the numbers of the named groups."""
        ...

    def spans(self, text: str, *, seconds: float) -> Iterator[Spans | None]:
        """Yield the spans of the groups of each match, the whole first; None at the end when time ran out."""
        ...


# Takes a JavaScript pattern and its flags; a text instead of a pattern says why it is refused.
Compile = Callable[[str, str], Pattern | str]


class TimedEffects(msgspec.Struct, frozen=True):
    """Seconds: `cooldown` since the last hit, `delay` since the dictionary was first used in the chat.

    `sticky` is kept for other programs and has no effect.
    """

    sticky: float = 0
    cooldown: float = 0
    delay: float = 0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. `probability` is 0 to 1; `max_replacements` 0 is all; `phase` None is the dictionary's."""

    id: str = ""
    pattern: str
    replacement: str = ""
    type: RuleType = "literal"
    probability: float = 1.0
    group: str | None = None
    timed_effects: TimedEffects = TimedEffects()
    max_replacements: int = 0
    enabled: bool = True
    case_sensitive: bool = True
    sort_order: int = 0
    phase: Phase | None = None


class Dictionary(msgspec.Struct, frozen=True, kw_only=True):
    """A dictionary. `included_dictionary_ids` are applied before it; `phase` says when its rules are."""

    id: str = ""
    name: str
    description: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    included_dictionary_ids: tuple[str, ...] = ()
    is_active: bool = True
    default_token_budget: int | None = None
    phase: Phase = "pre"
    entries: tuple[Rule, ...] = ()


class IncludeCycle(Invalid):
    """Dictionaries that include each other."""


def in_order(dictionaries: Mapping[str, Dictionary], chosen: list[str] | None = None) -> list[Dictionary]:
    """Give the chosen dictionaries (else all) by name, each after those that it includes, each but once.

    An included one that is not there, or not active, is passed over. Raises IncludeCycle.
    """
    done: dict[str, Dictionary] = {}
    names = dictionaries.keys() if chosen is None else [one for one in chosen if one in dictionaries]
    for one in sorted(names, key=lambda one: (dictionaries[one].name.lower(), one)):
        _visit(one, dictionaries, done, ())
    return [dictionary for dictionary in done.values() if dictionary.is_active]


def _visit(one: str, all_: Mapping[str, Dictionary], done: dict[str, Dictionary], path: tuple[str, ...]) -> None:
    if one in path:
        names = " → ".join(all_[name].name for name in (*path[path.index(one) :], one))
        raise IncludeCycle(f"dictionaries include each other: {names}", path="included_dictionary_ids")
    if one in done or one not in all_ or len(path) > MAX_INCLUDES:
        return
    for included in all_[one].included_dictionary_ids:
        _visit(included, all_, done, (*path, one))
    done[one] = all_[one]


def split_regex(pattern: str) -> tuple[str, str] | None:
    """Take `/pattern/flags` apart; None for what is not of this form."""
    found = _SLASHED.fullmatch(pattern)
    return (found[1], found[2]) if found else None


def regex_of(rule: Rule) -> tuple[str, str]:
    """Give the pattern and the flags of a regex rule in JavaScript's syntax.

    `x` is applied here: white space and comments go. Python's named groups are written JavaScript's way.
    """
    body, flags = split_regex(rule.pattern) or (rule.pattern, "")
    if "x" in flags:
        body = _without_space(body)
    body = re.sub(r"\(\?P=(\w+)\)", r"\\k<\1>", body.replace("(?P<", "(?<"))
    kept = set(flags).intersection("ims").union("" if rule.case_sensitive else "i")
    return body, "".join(sorted(kept))


def _without_space(body: str) -> str:
    kept = re.findall(r"\\.|\[(?:\\.|[^\]\\])*\]|#[^\n]*|\s+|[^\s\\\[#]+|.", body, re.DOTALL)
    return "".join(part for part in kept if not part.startswith("#") and not part.isspace())


def read_probability(value: Any) -> float | None:
    """Read a probability: up to 1 a share, beyond that percent; None for what is none."""
    if isinstance(value, str):
        try:
            value = float(value.strip().removesuffix("%"))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    share = value / 100 if value > 1 else float(value)
    return share if 0 <= share <= 1 else None
