"""Sticky, cooldown and delay: what a turn leaves for the turns after it. Source: characters, 3.7.

The state travels with the conversation: `{sticky, cooldown: {"<book>.<uid>": {hash, start, end, protected}}}`, counted
in messages scanned. Changing an entry in any way changes its hash, and so breaks with what it did before.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from tertulia.worldbooks.entries import Entry, encode_entry, read_flag, read_json, read_text, read_whole


class Effect(msgspec.Struct, frozen=True):
    """One effect: it lasts while the chat has fewer than `end` messages; a protected one survives a repeated turn."""

    hash: str
    start: int
    end: int
    protected: bool = False


class TimedState(msgspec.Struct, frozen=True):
    """The effects of a chat by `<book>.<uid>`; `matched` holds the hashes that `@@…_after_match` asks for."""

    sticky: dict[str, Effect] = {}
    cooldown: dict[str, Effect] = {}
    matched: dict[str, str] = {}


class Timed(msgspec.Struct, frozen=True):
    """An entry with a timed effect, as the state knows it; `remembered` for `@@…_after_match`."""

    name: str
    hash: str
    entry: Entry
    remembered: bool


class Live(msgspec.Struct, frozen=True):
    """The effects at work in one scan, by name, and the state without what is over."""

    sticky: set[str]
    cooldown: set[str]
    state: TimedState


def timed_name(book: str, entry: Entry) -> str:
    """Give the name under which the state knows an entry."""
    return f"{book}.{entry.uid}"


def fingerprint(book: str, entry: Entry) -> str:
    """Hash the whole entry with its book's name."""
    written = json.dumps((book, encode_entry(entry)), sort_keys=True, default=str)
    return hashlib.blake2b(written.encode(), digest_size=8).hexdigest()


def decode_state(raw: object) -> TimedState:
    """Read a state, leaving out what is not one."""
    fields = read_json(raw)
    matched = {name: read_text(value) for name, value in read_json(fields.get("matched")).items()}
    return TimedState(_read_effects(fields.get("sticky")), _read_effects(fields.get("cooldown")), matched)


def _read_effects(raw: object) -> dict[str, Effect]:
    effects: dict[str, Effect] = {}
    for name, value in read_json(raw).items():
        if isinstance(value, Mapping):
            effect = cast("Mapping[str, Any]", value)
            effects[name] = Effect(
                read_text(effect.get("hash")),
                read_whole(effect.get("start")),
                read_whole(effect.get("end")),
                read_flag(effect.get("protected")),
            )
    return effects


def resume(state: TimedState, timed: Iterable[Timed], length: int) -> Live:
    """Say which effects are at work in a chat of so many messages, and drop those that are over.

    One whose entry has changed, or whose book is not in use, does nothing until it ends, and keeps its name taken.
    """
    known = {(item.name, item.hash): item.entry for item in timed} if state.sticky or state.cooldown else {}
    live = Live(set(), set(), TimedState({}, dict(state.cooldown), dict(state.matched)))
    for name, effect in state.sticky.items():
        _resume_sticky(live, name, effect, known.get((name, effect.hash)), length)
    cooldowns = dict(live.state.cooldown)
    live.state.cooldown.clear()
    for name, effect in cooldowns.items():
        entry = known.get((name, effect.hash))
        if _goes_on(effect, length, wanted=entry is None or bool(entry.cooldown)):
            live.state.cooldown[name] = effect
            if entry is not None:
                live.cooldown.add(name)
    return live


def _goes_on(effect: Effect, length: int, *, wanted: bool) -> bool:
    advanced = length > effect.start or effect.protected
    return advanced and wanted and length < effect.end


def _resume_sticky(live: Live, name: str, effect: Effect, entry: Entry | None, length: int) -> None:
    if _goes_on(effect, length, wanted=entry is None or bool(entry.sticky)):
        live.state.sticky[name] = effect
        if entry is not None:
            live.sticky.add(name)
        return
    ended = length >= effect.end and (length > effect.start or effect.protected)
    if ended and entry is not None and entry.sticky and entry.cooldown:
        # The wait begins where the staying ends, whatever wait was counted before.
        live.state.cooldown[name] = Effect(effect.hash, length, length + entry.cooldown, protected=True)


def begin(state: TimedState, fired: Iterable[Timed], length: int) -> TimedState:
    """Start the effects of the entries that fired; one that is under way is not prolonged."""
    sticky, cooldown, matched = dict(state.sticky), dict(state.cooldown), dict(state.matched)
    for item in fired:
        if item.entry.sticky:
            sticky.setdefault(item.name, Effect(item.hash, length, length + item.entry.sticky))
        if item.entry.cooldown:
            cooldown.setdefault(item.name, Effect(item.hash, length, length + item.entry.cooldown))
        if item.remembered:
            matched[item.name] = item.hash
    return TimedState(sticky, cooldown, matched)
