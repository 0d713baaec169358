"""How long an activation takes: a book of any size from a seed, for the bench. Source: performance, P9."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from tertulia.worldbooks.activation import Activation, activate
from tertulia.worldbooks.entries import Entry
from tertulia.worldbooks.index import PreparedBook, prepare
from tertulia.worldbooks.lorebook import Lorebook
from tertulia.worldbooks.process import count_words
from tertulia.worldbooks.settings import Message, ScanSettings, Scene
from tertulia.worldbooks.shelf import PlacedBook

_Outcome = TypeVar("_Outcome")
_SYLLABLES: Final = (
    "ar", "ben", "cor", "dal", "el", "fen", "gor", "hal", "ith", "jor", "kel", "lor", "mar", "nim", "or", "pel",
    "quor", "rin", "sal", "tor", "ul", "vel", "wen", "xan", "yor", "zim",
)  # fmt: skip
_FRESH_CHATS: Final = 7
_HIT_EVERY: Final = 400  # one word in so many of the chat is a key


class Figures(msgspec.Struct, frozen=True):
    """What was measured, and how many milliseconds it took.

    `prepare_ms` once; `fresh_ms` the median over chats never seen before; the others over rounds of the same chat,
    which is nearly what a conversation that grows is.
    """

    entries: int
    keys: int
    messages: int
    fired: int
    prepare_ms: float
    fresh_ms: float
    median_ms: float
    p95_ms: float


class Mix(msgspec.Struct, frozen=True):
    """What the keys of the book are like, as shares of all; the rest are single words."""

    phrases: float = 0.2
    regexes: float = 0.02


_MIX: Final = Mix()


def synthetic_book(entries: int, *, seed: int = 1, mix: Mix = _MIX) -> Lorebook:
    """Make a book with two keys an entry: words, phrases and regexes."""
    dice = random.Random(seed)  # noqa: S311 - a bench, not a secret
    made = tuple(
        Entry(uid=uid, key=(_key(dice, mix), _key(dice, mix)), content=" ".join(_word(dice) for _ in range(30)))
        for uid in range(entries)
    )
    return Lorebook(name=f"synthetic {entries}", entries=made)


def synthetic_chat(book: Lorebook, messages: int, *, words: int = 60, seed: int = 2) -> list[Message]:
    """Make a chat in which some keys of the book come up."""
    dice = random.Random(seed)  # noqa: S311 - a bench, not a secret

    def word() -> str:
        entry = book.entries[dice.randrange(len(book.entries))]
        return entry.key[0] if dice.randrange(_HIT_EVERY) == 0 else _word(dice)

    return [Message(("User", "Bot")[number % 2], " ".join(word() for _ in range(words))) for number in range(messages)]


def measure(entries: int, *, messages: int = 20, rounds: int = 25, mix: Mix = _MIX) -> Figures:
    """Prepare a book once, activate it over all the messages again and again, and give the times."""
    book = synthetic_book(entries, mix=mix)
    chat = synthetic_chat(book, messages)
    settings = ScanSettings(depth=messages)
    prepare_ms, prepared = _timed(lambda: prepare(book, settings=settings))
    fresh = [_fresh(prepared, messages, settings, seed) for seed in range(10, 10 + _FRESH_CHATS)]
    _, outcome = _timed(lambda: _activate(prepared, chat, settings))
    times = sorted(_timed(lambda: _activate(prepared, chat, settings))[0] for _ in range(rounds))
    return Figures(
        entries=entries,
        keys=sum(len(entry.key) for entry in book.entries),
        messages=messages,
        fired=len(outcome.fired),
        prepare_ms=prepare_ms,
        fresh_ms=statistics.median(fresh),
        median_ms=statistics.median(times),
        p95_ms=times[int(len(times) * 0.95)],
    )


def _fresh(book: PreparedBook, messages: int, settings: ScanSettings, seed: int) -> float:
    chat = synthetic_chat(book.book, messages, seed=seed)
    return _timed(lambda: _activate(book, chat, settings))[0]


def _timed(act: Callable[[], _Outcome]) -> tuple[float, _Outcome]:
    started = time.perf_counter()
    outcome = act()
    return (time.perf_counter() - started) * 1000, outcome


def _activate(book: PreparedBook, chat: Sequence[Message], settings: ScanSettings) -> Activation:
    return activate(
        [PlacedBook("global", book)],
        chat,
        Scene(),
        settings=settings,
        random=lambda: 0.5,
        count_tokens=count_words,
        expand=lambda text: text,
    )


def _word(dice: random.Random) -> str:
    return "".join(dice.choice(_SYLLABLES) for _ in range(dice.randint(2, 3)))


def _key(dice: random.Random, mix: Mix) -> str:
    kind = dice.random()
    if kind < mix.regexes:
        return f"/{_word(dice)}{_word(dice)}(?:s|ed)?/i"
    if kind < mix.regexes + mix.phrases:
        return f"{_word(dice)} {_word(dice)}"
    return _word(dice) + _word(dice)
