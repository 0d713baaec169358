"""What the tests of dictionaries share: one dictionary, the real regex engine, dice that fall as told."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from tertulia.dictionaries.apply import Processed, State, prepare, process
from tertulia.dictionaries.rules import Dictionary, Rule
from tertulia.worldbooks.regexes import compile_pattern

COMPILE = partial(compile_pattern, capture=True)


def words(text: str) -> int:
    return len(text.split())


def rule(pattern: str, replacement: str, **fields: Any) -> Rule:
    return Rule(pattern=pattern, replacement=replacement, id=fields.pop("id", pattern), **fields)


def apply(text: str, *rules: Rule, rng: tuple[float, ...] = (), now: float = 0, **options: Any) -> Processed:
    """Process a text before the call with one dictionary of these rules."""
    ordered = tuple(msgspec.structs.replace(one, sort_order=at) for at, one in enumerate(rules))
    dictionary = Dictionary(id="d", name="d", entries=ordered, phase=options.pop("of", "pre"))
    dice: Iterator[float] = iter(rng)
    return process(
        prepare([dictionary], COMPILE),
        text,
        options.pop("phase", "pre"),
        random=lambda: next(dice, 0.5),
        now=now,
        count_tokens=words,
        state=options.pop("state", State()),
        **options,
    )
