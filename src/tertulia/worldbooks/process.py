"""The test bench: a scan whose books, chat and dice all come in one form. Source: operation, "World-book processing".

The form is that of the activation vectors. Unknown keys in settings, context and entries are ignored, since they come
from files of other programs; a known one of the wrong type is an error that names its place.
"""

import random
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeVar, cast, get_args

import msgspec

from tertulia.kernel.errors import Invalid
from tertulia.macros.context import Context, Line
from tertulia.macros.expand import Expander
from tertulia.worldbooks.activation import Activation, Verdict, activate
from tertulia.worldbooks.entries import decode_entry
from tertulia.worldbooks.index import prepare
from tertulia.worldbooks.lorebook import Lorebook
from tertulia.worldbooks.settings import Message, ScanSettings, Scene
from tertulia.worldbooks.shelf import PlacedBook, Scope
from tertulia.worldbooks.timed import TimedState, decode_state

Tokenizer = Literal["", "whitespace", "characters"]
_Shape = TypeVar("_Shape")
_SCOPES: Final = cast("tuple[Scope, ...]", get_args(Scope))
_PLACE: Final = re.compile(r"\$([^`]*)")
_AFTER_THE_LIST: Final = 0.5  # what the dice show when the numbers given are used up


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    settings: dict[str, Any] = {}
    context: dict[str, Any] = {}
    books: dict[Scope, list[dict[str, Any]]] = {}
    chat: list[tuple[str, str]] = []
    rng: list[float] = []
    timed_state: dict[str, Any] | None = None
    tokenizer: Tokenizer = ""


class Bench(msgspec.Struct, frozen=True):
    """A form that has been read."""

    settings: ScanSettings
    scene: Scene
    books: tuple[PlacedBook, ...]
    messages: tuple[Message, ...]
    rng: tuple[float, ...]
    state: TimedState
    tokenizer: Tokenizer


def read_bench(form: Mapping[str, Any]) -> Bench:
    """Read a form; raises Invalid, naming the place, where it is none."""
    read = _convert(_present(form), _Form, "")
    return Bench(
        settings=_convert(_present(read.settings), ScanSettings, "settings"),
        scene=_convert(_present(read.context), Scene, "context"),
        books=tuple(_placed(scope, read.books[scope]) for scope in _SCOPES if scope in read.books),
        messages=tuple(Message(name, text) for name, text in read.chat),
        rng=tuple(read.rng),
        state=decode_state(read.timed_state),
        tokenizer=read.tokenizer,
    )


def run_bench(bench: Bench, *, count_tokens: Callable[[str], int], now: datetime) -> Activation:
    """Activate, with a reason for every entry. `count_tokens` counts where the form names no tokeniser of its own."""
    dice = iter(bench.rng)
    counters = {"whitespace": count_words, "characters": count_characters}
    return activate(
        bench.books,
        bench.messages,
        bench.scene,
        settings=bench.settings,
        state=bench.state,
        random=lambda: next(dice, _AFTER_THE_LIST),
        count_tokens=counters.get(bench.tokenizer, count_tokens),
        expand=_expander(bench, now).expand,
        explain=True,
    )


def report(activation: Activation) -> dict[str, Any]:
    """Write an outcome in the form of the contract, ready for JSON."""
    timed = cast("dict[str, Any]", msgspec.to_builtins(activation.timed))
    verdicts = (*activation.fired, *activation.passed_over)
    return {
        "activated": [verdict.entry.uid for verdict in activation.fired],
        "prompt": msgspec.to_builtins(activation.prompt),
        "entries": [_entry(verdict) for verdict in verdicts],
        "timed_state": {name: effects for name, effects in timed.items() if effects or name != "matched"},
        "tokens_used": activation.tokens_used,
        "token_budget": activation.token_budget,
        "overflow": activation.overflow,
        "truncated": activation.truncated,
    }


def count_words(text: str) -> int:
    """Count one token a white-space word."""
    return len(text.split())


def count_characters(text: str) -> int:
    """Count one token every four characters, rounded up."""
    return (len(text) + 3) // 4


def _entry(verdict: Verdict) -> dict[str, Any]:
    return {
        "uid": verdict.entry.uid,
        "book": verdict.book,
        "scope": verdict.scope,
        "name": verdict.entry.label,
        "activated": verdict.activated,
        "reason": verdict.reason.value,
        "key": verdict.key,
        "match": msgspec.to_builtins(verdict.match),
        "tokens": verdict.tokens,
        "order": verdict.entry.order,
        "sweep": verdict.sweep,
    }


def _placed(scope: Scope, entries: list[dict[str, Any]]) -> PlacedBook:
    decoded = tuple(decode_entry(entry, index) for index, entry in enumerate(entries))
    return PlacedBook(scope, prepare(Lorebook(name=scope, entries=decoded)))


def _expander(bench: Bench, now: datetime) -> Expander:
    scene = bench.scene
    context = Context(
        user=scene.user,
        char=scene.char,
        description=scene.character_description,
        personality=scene.character_personality,
        scenario=scene.scenario,
        persona=scene.persona_description,
        char_depth_prompt=scene.character_depth_prompt,
        creator_notes=scene.creator_notes,
        authors_note=scene.an or "",
        generation_type=scene.trigger,
        lines=tuple(Line(message.text, is_user=message.name == scene.user) for message in bench.messages),
    )
    return Expander(context, random=random.Random(0).random, now=now)  # noqa: S311 - dice that fall alike each time


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Take null for absent."""
    return {name: value for name, value in fields.items() if value is not None}


def _convert(raw: dict[str, Any], shape: type[_Shape], path: str) -> _Shape:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        message, _, rest = str(error).partition(" - at `")
        place = _PLACE.search(rest)
        raise Invalid(message, path=f"{path}{place[1] if place else ''}".lstrip(".")) from None
