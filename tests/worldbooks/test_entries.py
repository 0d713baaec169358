"""Entries, settings and states as other programs write them."""

from typing import Any

import pytest

from tertulia.worldbooks.entries import CharacterFilter, decode_entry, encode_entry
from tertulia.worldbooks.settings import ScanSettings
from tertulia.worldbooks.timed import Effect, TimedState, decode_state


@pytest.mark.parametrize(
    ("field", "written", "read"),
    [
        ("order", "7", 7),
        ("order", 99.5, 99.5),
        ("order", None, 100),
        ("order", "high", 100),
        ("order", float("inf"), 100),
        ("order", 10**400, 100),
        ("key", "one, two ,", ["one", "two"]),
        ("key", ["a", 7, None, ["b"]], ["a", "7"]),
        ("key", " spaced ", ["spaced"]),
        ("keysecondary", None, []),
        ("content", 5, "5"),
        ("comment", ["x"], ""),
        ("constant", "true", True),
        ("constant", "", False),
        ("constant", 1, True),
        ("selective", None, True),
        ("position", "after_char", 1),
        ("position", "4", 4),
        ("position", "", 0),
        ("role", "assistant", 2),
        ("selectiveLogic", "AND_ALL", 3),
        ("delayUntilRecursion", True, True),
        ("delayUntilRecursion", "2", 2),
        ("scanDepth", "", None),
        ("scanDepth", "3", 3),
        ("caseSensitive", None, None),
        ("caseSensitive", 0, False),
        ("sticky", 2.9, 2),
        ("probability", 12.5, 12.5),
        ("triggers", "normal,swipe", ["normal", "swipe"]),
        ("characterFilter", [], None),
    ],
)
def test_a_field_is_read_leniently(field: str, written: Any, read: Any) -> None:
    assert encode_entry(decode_entry({field: written}))[field] == read


def test_uids() -> None:
    assert [decode_entry({"uid": uid}, 9).uid for uid in (0, "x", "7", None, True, [])] == [0, "x", "7", 9, 9, 9]


def test_unknown_fields_and_extensions_stay() -> None:
    raw = {"uid": 1, "mine": {"deep": [1, None]}, "extensions": {"a/b": 1}}
    entry = decode_entry(raw)
    assert entry.unknown == {"mine": {"deep": [1, None]}}
    written = encode_entry(entry)
    assert {name: written[name] for name in raw} == raw


def test_character_filters() -> None:
    entry = decode_entry({"characterFilter": {"isExclude": True, "names": "mia, bo", "tags": None}})
    assert entry.character_filter == CharacterFilter(is_exclude=True, names=("mia", "bo"))


def test_labels() -> None:
    entries = [{"comment": "c", "key": ["k"]}, {"key": ["k"]}, {"uid": 5}]
    assert [decode_entry(entry).label for entry in entries] == ["c", "k", "5"]


@pytest.mark.parametrize(
    ("settings", "budget"),
    [
        ({"max_context": 1000}, 250),
        ({"max_context": 1000, "budget_cap": 100}, 100),
        ({"max_context": 10, "budget_pct": 25}, 3),  # 2.5 is rounded up
        ({"max_context": 1, "budget_pct": 1}, 1),
        ({"max_context": 1000, "budget_pct": 200}, 250),
        ({"max_context": 1000, "budget_pct": 100}, 1000),
    ],
)
def test_token_budget(settings: dict[str, Any], budget: int) -> None:
    assert ScanSettings(**settings).token_budget == budget


def test_states_are_read_leniently() -> None:
    raw = {"sticky": {"b.1": {"hash": "h", "start": "1", "end": 3}, "b.2": 7}, "cooldown": [], "matched": {"b.3": "h"}}
    assert decode_state(raw) == TimedState({"b.1": Effect("h", 1, 3)}, {}, {"b.3": "h"})
    assert decode_state("nonsense") == TimedState()
