"""What a lenient reader noticed and went on from: told to the user, never raised."""

from typing import Final

import msgspec

from tertulia.characters.cards.limits import MAX_REMARKS


class CardWarning(msgspec.Struct, frozen=True):
    """One thing that was not as it should be: a stable code and a sentence for the user."""

    code: str
    message: str


class Remarks:
    """Collects warnings in order, each once, and no more of them than a person would read."""

    def __init__(self) -> None:
        self._seen: Final[dict[CardWarning, None]] = {}

    def add(self, code: str, message: str) -> None:
        """Note a warning, unless it was noted before."""
        if len(self._seen) < MAX_REMARKS:
            self._seen[CardWarning(code, message)] = None

    def extend(self, warnings: tuple[CardWarning, ...]) -> None:
        """Note what another reader noticed."""
        for warning in warnings:
            self.add(warning.code, warning.message)

    def as_tuple(self) -> tuple[CardWarning, ...]:
        """All warnings, in the order in which they arose."""
        return tuple(self._seen)
