"""Dictionaries as JSON and Markdown, and the check of what comes from outside."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.dictionaries.formats import UnreadableDictionary, read_json, read_markdown, write_json, write_markdown
from tertulia.dictionaries.rules import Dictionary, Rule, TimedEffects
from tertulia.dictionaries.validate import validate
from tests.dictionaries.making import COMPILE

FULL = Dictionary(
    name="Ship talk",
    description="How sailors say it.",
    category="style",
    tags=("sea",),
    included_dictionary_ids=("11",),
    default_token_budget=900,
    phase="both",
    entries=(
        Rule(pattern="left", replacement="port", sort_order=2, group="sides", max_replacements=3),
        Rule(pattern=r"/(\d+) miles?/i", replacement=r"\1 knots", type="regex", probability=0.25, sort_order=1),
        Rule(pattern=" spaced ", replacement='"quoted"\nlines', timed_effects=TimedEffects(1, 2.5, 3), enabled=False),
        Rule(pattern="# hash", replacement="", case_sensitive=False, phase="post"),
    ),
)


def test_json_holds_everything() -> None:
    written = json.loads(json.dumps(write_json(FULL)))
    assert read_json(written, COMPILE) == FULL
    assert read_json({"data": written}, COMPILE) == FULL
    assert "id" not in written


def test_markdown_holds_the_rules() -> None:
    read = read_markdown(write_markdown(FULL), COMPILE)
    assert read.name == FULL.name
    for got, rule in zip(read.entries, FULL.entries, strict=True):
        for field in ("pattern", "replacement", "type", "probability", "enabled", "group", "max_replacements"):
            assert getattr(got, field) == getattr(rule, field)
        assert (got.timed_effects, got.case_sensitive) == (rule.timed_effects, rule.case_sensitive)
        assert (got.phase or "pre") == (rule.phase or FULL.phase)


def test_markdown_by_hand() -> None:
    read = read_markdown(
        """
# My words

Some prose.

## Entry: hello
- **Type:** literal
* **Replacement**: `hi there`
- **Probability**: 50
- **Enabled**: no
- **Mood**: unknown labels are passed over

## Entry: /h.y/i
- **Replacement**: "a\\nb"
""",
        COMPILE,
    )
    first, second = read.entries
    assert (read.name, first.pattern, first.replacement) == ("My words", "hello", "hi there")
    assert (first.probability, first.enabled) == (0.5, False)
    assert (second.type, second.replacement) == ("regex", "a\nb")


def test_lines_of_key_and_value() -> None:
    read = read_markdown("# Name\nkey: value\n/a:b/i: x\nlong: |\none\ntwo\n---@@@---\na:b: c\nempty:\nprose", COMPILE)
    assert [(rule.pattern, rule.replacement, rule.type) for rule in read.entries] == [
        ("key", "value", "literal"),
        ("/a:b/i", "x", "regex"),
        ("long", "one\ntwo", "literal"),
        ("a:b", "c", "literal"),
        ("empty", "", "literal"),
    ]
    assert read_markdown("a: b", COMPILE, name="given").name == "given"


def one(**fields: Any) -> dict[str, Any]:
    return {"name": "n", "entries": [{"pattern": "p", **fields}]}


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ([], "not_an_object", ""),
        ({}, "missing_name", "name"),
        ({"name": "n" * 101}, "name_too_long", "name"),
        ({"name": "n", "description": "d" * 501}, "description_too_long", "description"),
        ({"name": "n", "tags": "x"}, "invalid_tags", "tags"),
        ({"name": "n", "tags": ["x"] * 21}, "too_many_tags", "tags"),
        ({"name": "n", "phase": "never"}, "invalid_phase", "phase"),
        ({"name": "n", "is_active": "yes"}, "invalid_is_active", "is_active"),
        ({"name": "n", "default_token_budget": 0}, "invalid_token_budget", "default_token_budget"),
        ({"name": "n", "entries": {}}, "invalid_entries", "entries"),
        ({"name": "n", "entries": [1]}, "invalid_entry", "entries.0"),
        (one(pattern=""), "missing_pattern", "entries.0.pattern"),
        (one(pattern="p" * 501), "pattern_too_long", "entries.0.pattern"),
        (one(pattern="/(/"), "invalid_regex", "entries.0.pattern"),
        (one(pattern="/(?:a{900}){900}/"), "unsafe_regex", "entries.0.pattern"),
        (one(type="glob"), "invalid_type", "entries.0.type"),
        (one(replacement=3), "invalid_replacement", "entries.0.replacement"),
        (one(probability=101), "invalid_probability", "entries.0.probability"),
        (one(max_replacements=-1), "invalid_max_replacements", "entries.0.max_replacements"),
        (one(timed_effects={"cooldown": -1}), "invalid_timed_effects", "entries.0.timed_effects"),
        (one(enabled=1), "invalid_enabled", "entries.0.enabled"),
    ],
)
def test_validate(data: Any, code: str, field: str) -> None:
    report = validate(data, COMPILE)
    assert not report.ok
    assert [(problem.code, problem.field) for problem in report.errors] == [(code, field)]
    assert all(problem.message for problem in report.errors)
    with pytest.raises(UnreadableDictionary) as caught:
        read_json(data, COMPILE)
    assert caught.value.details == {"errors": [{"path": field, "message": report.errors[0].message}]}


def test_warnings_forbid_nothing() -> None:
    data = {"name": "n", "entries": [{"pattern": "p"}, {"key": "p", "content": "x", "odd": 1}]}
    report = validate(data, COMPILE)
    assert report.ok
    assert [(one.code, one.field) for one in report.warnings] == [
        ("unknown_field", "entries.1.odd"),
        ("duplicate_pattern", "entries.1.pattern"),
    ]
    assert [one.code for one in validate({"name": "n"}, COMPILE).warnings] == ["no_entries"]
    assert read_json(data, COMPILE).entries[1].replacement == "x"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (*Rule.__struct_fields__, *Dictionary.__struct_fields__, "key", "content")
odd_rule = st.dictionaries(st.sampled_from(FIELDS), anything, max_size=5)
odd = st.dictionaries(st.sampled_from(FIELDS), anything | st.lists(odd_rule, max_size=3), max_size=6)


def bare(rules: tuple[Rule, ...]) -> list[Rule]:
    return [msgspec.structs.replace(rule, id="") for rule in rules]


@given(anything | odd | st.lists(odd_rule).map(lambda entries: {"name": "n", "entries": entries}))
def test_reading_gives_a_dictionary_or_the_one_error(data: object) -> None:
    try:
        read = read_json(data, COMPILE)
    except UnreadableDictionary:
        assert not validate(data, COMPILE).ok
    else:
        assert bare(read_json(write_json(read), COMPILE).entries) == bare(read.entries)


LINES = st.sampled_from(("# a", "## Entry: b", "- **Type**: regex", "- **Delay**: x", "k: v", "k: |", "/(/: x", ""))


@given(st.text(max_size=80) | st.lists(LINES).map("\n".join))
def test_no_markdown_raises_anything_else(content: str) -> None:
    with contextlib.suppress(UnreadableDictionary):
        assert read_markdown(content, COMPILE, name="n").name == "n"
