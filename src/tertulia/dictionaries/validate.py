"""Checks a dictionary that comes from outside, all of it, before anything is stored."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast, get_args

import msgspec

from tertulia.dictionaries.rules import (
    MAX_DESCRIPTION,
    MAX_INCLUDES,
    MAX_NAME,
    MAX_PATTERN,
    MAX_TAG,
    MAX_TAGS,
    Compile,
    Phase,
    Rule,
    RuleType,
    read_probability,
    regex_of,
    split_regex,
)

MAX_RULES: Final = 10_000
MAX_REPLACEMENT: Final = 100_000
ALIASES: Final = {"key": "pattern", "content": "replacement", "order": "sort_order"}
_RULE_FIELDS: Final = frozenset(Rule.__struct_fields__) | {
    "dictionary_id", "version", "created_at", "updated_at", "usage_count", "last_used_at",
}  # fmt: skip


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong; `field` is its place, dotted."""

    code: str
    field: str
    message: str


class Report(msgspec.Struct, frozen=True):
    """What a check found; warnings forbid nothing."""

    ok: bool
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def validate(data: object, compile_: Compile) -> Report:
    """Check a dictionary as JSON: `{name, entries, …}`."""
    if not isinstance(data, Mapping):
        return Report(ok=False, errors=(Problem("not_an_object", "", "a dictionary is a JSON object"),), warnings=())
    fields = cast("Mapping[str, Any]", data)
    errors = [*_header(fields), *_entries(fields, compile_)]
    return Report(ok=not errors, errors=tuple(errors), warnings=tuple(_warnings(fields)))


def as_rule_fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of an entry under the names of the contract; null is absent."""
    return {ALIASES.get(name, name): value for name, value in raw.items() if value is not None}


def _header(fields: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _text(fields, "name", MAX_NAME, required=True)
    yield from _text(fields, "description", MAX_DESCRIPTION)
    yield from _text(fields, "category", MAX_NAME)
    yield from _texts(fields, "tags", MAX_TAGS, MAX_TAG)
    yield from _texts(fields, "included_dictionary_ids", MAX_INCLUDES, MAX_NAME)
    yield from _one_of(fields, "phase", get_args(Phase), "")
    yield from _flags(fields, ("is_active",), "")
    budget = fields.get("default_token_budget")
    if budget is not None and not _is_count(budget, 1):
        yield Problem("invalid_token_budget", "default_token_budget", "a token budget is a whole number from 1")


def _text(fields: Mapping[str, Any], name: str, most: int, *, required: bool = False) -> Iterator[Problem]:
    value = fields.get(name)
    if value is None and not required:
        return
    if not isinstance(value, str) or (required and not value.strip()):
        yield Problem(f"missing_{name}" if required else f"invalid_{name}", name, f"{name} has to be a text")
    elif len(value) > most:
        yield Problem(f"{name}_too_long", name, f"{name} has more than {most} characters")


def _texts(fields: Mapping[str, Any], name: str, most: int, length: int) -> Iterator[Problem]:
    values = fields.get(name)
    if values is None:
        return
    listed = cast("list[object]", values) if isinstance(values, list) else [None]
    if not all(isinstance(value, str) and len(value) <= length for value in listed):
        yield Problem(f"invalid_{name}", name, f"{name} is a list of texts of at most {length} characters")
    elif len(listed) > most:
        yield Problem(f"too_many_{name}", name, f"more than {most} {name}")


def _one_of(fields: Mapping[str, Any], name: str, choices: tuple[str, ...], path: str) -> Iterator[Problem]:
    value = fields.get(name)
    if value is not None and value not in choices:
        yield Problem(f"invalid_{name}", path + name, f"{name} is one of {', '.join(choices)}")


def _flags(fields: Mapping[str, Any], names: tuple[str, ...], path: str) -> Iterator[Problem]:
    for name in names:
        if not isinstance(fields.get(name), bool | None):
            yield Problem(f"invalid_{name}", path + name, f"{name} is true or false")


def _entries(fields: Mapping[str, Any], compile_: Compile) -> Iterator[Problem]:
    entries = fields.get("entries", [])
    if not isinstance(entries, list):
        yield Problem("invalid_entries", "entries", "entries is a list")
        return
    listed = cast("list[object]", entries)
    if len(listed) > MAX_RULES:
        yield Problem("too_many_entries", "entries", f"more than {MAX_RULES} entries")
        return
    for index, entry in enumerate(listed):
        path = f"entries.{index}."
        if isinstance(entry, Mapping):
            yield from _entry(as_rule_fields(cast("Mapping[str, Any]", entry)), path, compile_)
        else:
            yield Problem("invalid_entry", path.removesuffix("."), "an entry is a JSON object")


def _entry(raw: Mapping[str, Any], path: str, compile_: Compile) -> Iterator[Problem]:
    yield from _one_of(raw, "type", get_args(RuleType), path)
    yield from _one_of(raw, "phase", get_args(Phase), path)
    yield from _flags(raw, ("enabled", "case_sensitive"), path)
    yield from _numbers(raw, path)
    replacement = raw.get("replacement", "")
    if not isinstance(replacement, str) or len(replacement) > MAX_REPLACEMENT:
        message = f"a replacement is a text of at most {MAX_REPLACEMENT} characters"
        yield Problem("invalid_replacement", f"{path}replacement", message)
    pattern = raw.get("pattern")
    if not isinstance(pattern, str) or not pattern:
        yield Problem("missing_pattern", f"{path}pattern", "an entry needs a pattern")
    elif len(pattern) > MAX_PATTERN:
        yield Problem("pattern_too_long", f"{path}pattern", f"a pattern has at most {MAX_PATTERN} characters")
    elif rule_type(raw) == "regex":
        yield from _regex(Rule(pattern=pattern, type="regex"), path, compile_)


def rule_type(raw: Mapping[str, Any]) -> RuleType:
    """Say what an entry is: as it says, else by the slashes of its pattern."""
    if raw.get("type") in get_args(RuleType):
        return cast("RuleType", raw["type"])
    pattern = raw.get("pattern")
    return "regex" if isinstance(pattern, str) and split_regex(pattern) else "literal"


def _regex(rule: Rule, path: str, compile_: Compile) -> Iterator[Problem]:
    compiled = compile_(*regex_of(rule))
    if compiled == "syntax":
        yield Problem("invalid_regex", f"{path}pattern", "the pattern is no regular expression")
    elif isinstance(compiled, str):
        yield Problem("unsafe_regex", f"{path}pattern", f"the pattern is refused: {compiled.replace('_', ' ')}")


def _numbers(raw: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if "probability" in raw and read_probability(raw["probability"]) is None:
        yield Problem("invalid_probability", f"{path}probability", "a probability is 0 to 1, or percent")
    if "max_replacements" in raw and not _is_count(raw["max_replacements"], 0):
        yield Problem("invalid_max_replacements", f"{path}max_replacements", "a whole number, 0 for all")
    effects = raw.get("timed_effects", {})
    known = cast("Mapping[str, Any]", effects) if isinstance(effects, Mapping) else {"": None}
    for name, value in known.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
        if name not in ("sticky", "cooldown", "delay") or not (number or value is None):
            message = "timed effects are sticky, cooldown and delay, in seconds from 0"
            yield Problem("invalid_timed_effects", f"{path}timed_effects", message)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _warnings(fields: Mapping[str, Any]) -> Iterator[Problem]:
    entries = fields.get("entries")
    listed = cast("list[object]", entries) if isinstance(entries, list) else []
    if not listed:
        yield Problem("no_entries", "entries", "the dictionary has no entries")
    seen: set[tuple[object, object]] = set()
    for index, entry in enumerate(listed[:MAX_RULES]):
        if not isinstance(entry, Mapping):
            continue
        raw = as_rule_fields(cast("Mapping[str, Any]", entry))
        for name in sorted(raw.keys() - _RULE_FIELDS):
            yield Problem("unknown_field", f"entries.{index}.{name}", f"{name} is not known, and is not kept")
        mark = (raw.get("pattern"), raw.get("phase"))
        if isinstance(mark[0], str) and mark in seen:
            yield Problem("duplicate_pattern", f"entries.{index}.pattern", "an entry before has the same pattern")
        if isinstance(mark[1], str | None) and isinstance(mark[0], str):
            seen.add(mark)
