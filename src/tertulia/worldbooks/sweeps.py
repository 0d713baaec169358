"""What one pass over the candidates is for, and what it sees."""

from enum import Enum, auto

import msgspec


class SweepKind(Enum):
    """What a sweep is for."""

    FIRST = auto()
    RECURSION = auto()  # what was brought up is scanned too
    WIDENED = auto()  # one message more, since too few entries fired; recursion texts are left out


class Sweep(msgspec.Struct, frozen=True):
    """One pass: `depth` is in messages, `level` the one of delayUntilRecursion that is released."""

    kind: SweepKind
    number: int
    depth: int
    level: float
