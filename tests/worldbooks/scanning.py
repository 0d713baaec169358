"""What the tests of world books share: a scan with everything at its default."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tertulia.worldbooks.activation import Activation, activate
from tertulia.worldbooks.entries import decode_entry
from tertulia.worldbooks.index import prepare
from tertulia.worldbooks.lorebook import Lorebook
from tertulia.worldbooks.process import count_words
from tertulia.worldbooks.settings import Message, ScanSettings, Scene
from tertulia.worldbooks.shelf import PlacedBook

DATA = Path(__file__).parent / "data"


def numbers(*given: float) -> Callable[[], float]:
    """Give these numbers, then a half."""
    left: Iterator[float] = iter(given)
    return lambda: next(left, 0.5)


def book(*entries: dict[str, Any], name: str = "global", **settings: Any) -> Lorebook:
    """Make a book of entries in SillyTavern's form."""
    return Lorebook(name=name, entries=tuple(decode_entry(entry, at) for at, entry in enumerate(entries)), **settings)


def scan(
    entries: list[dict[str, Any]] | Lorebook,
    *lines: str,
    rng: tuple[float, ...] = (),
    scene: Scene | None = None,
    settings: dict[str, Any] | None = None,
    **options: Any,
) -> Activation:
    """Activate one book over lines that the user says."""
    made = entries if isinstance(entries, Lorebook) else book(*entries)
    return activate(
        [PlacedBook("global", prepare(made))],
        [Message("User", line) for line in lines],
        scene or Scene(),
        settings=ScanSettings(**(settings or {})),
        random=numbers(*rng),
        count_tokens=options.pop("count_tokens", count_words),
        expand=options.pop("expand", lambda text: text),
        **options,
    )


def uids(activation: Activation) -> list[int | str]:
    """Give what fired, in order."""
    return [verdict.entry.uid for verdict in activation.fired]


def reasons(activation: Activation) -> dict[int | str, str]:
    """Give the reason of every entry."""
    return {verdict.entry.uid: verdict.reason.value for verdict in (*activation.fired, *activation.passed_over)}
