"""Dice: `20`, `d20`, `2d6+1`."""

import re
from collections.abc import Callable
from typing import Final

_FORMULA: Final = re.compile(r"(?:(\d*)d)?(\d+)(?:([+-])(\d+))?", re.IGNORECASE)
_MAX_DICE: Final = 1000
_MAX_DIGITS: Final = 9


def roll(formula: str, random: Callable[[], float]) -> str:
    """Roll a formula; "" for what is none, and for more than 1,000 dice. A number alone is one die of so many sides."""
    found = _FORMULA.fullmatch(re.sub(r"\s", "", formula))
    if found is None or any(len(part or "") > _MAX_DIGITS for part in found.groups()):
        return ""
    count, sides = int(found[1] or 1), int(found[2])
    if not 1 <= count <= _MAX_DICE or sides < 1:
        return ""
    total = sum(min(int(random() * sides), sides - 1) + 1 for _ in range(count))
    change = int(found[4] or 0)
    return str(total - change if found[3] == "-" else total + change)
