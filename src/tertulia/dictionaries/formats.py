"""Dictionaries as files: JSON, which holds everything, and Markdown, which people write. Source: characters, 4.0."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from tertulia.dictionaries.rules import Compile, Dictionary, Rule, TimedEffects, read_probability
from tertulia.dictionaries.validate import Report, as_rule_fields, rule_type, validate
from tertulia.kernel.errors import Invalid

_NAME: Final = re.compile(r"#\s+(.+)")
_ENTRY: Final = re.compile(r"##\s*Entry:\s*(.*)", re.IGNORECASE)
_BULLET: Final = re.compile(r"\s*[-*]\s*\*\*([^*:]+):?\*\*:?\s*(.*)")
_SIMPLE: Final = re.compile(r"(/.+?/[a-z]*|.+?)\s*:(?:\s+(.*)|$)")
_END_OF_TEXT: Final = "---@@@---"
_BULLETS: Final = {
    "type": "type",
    "pattern": "pattern",
    "replacement": "replacement",
    "probability": "probability",
    "enabled": "enabled",
    "group": "group",
    "max replacements": "max_replacements",
    "case sensitive": "case_sensitive",
    "phase": "phase",
    "sticky": "sticky",
    "cooldown": "cooldown",
    "delay": "delay",
}
_EFFECTS: Final = ("sticky", "cooldown", "delay")
_RULE_ORDER: Final = ("group", "max_replacements", "case_sensitive", "phase")


class UnreadableDictionary(Invalid):
    """A dictionary with errors; the details list them all."""

    def __init__(self, report: Report) -> None:
        first = report.errors[0]
        super().__init__(first.message, path=first.field)
        self.details = {"errors": [{"path": one.field, "message": one.message} for one in report.errors]}


def read_json(data: object, compile_: Compile) -> Dictionary:
    """Read a dictionary as JSON, also one wrapped as `{data: …}`. Raises UnreadableDictionary."""
    fields = cast("dict[str, Any]", data)
    if isinstance(data, Mapping) and isinstance(fields.get("data"), Mapping):
        fields = cast("dict[str, Any]", fields["data"])
    report = validate(fields, compile_)
    if not report.ok:
        raise UnreadableDictionary(report)
    kept = {name: fields[name] for name in _HEADER if fields.get(name) is not None}
    entries = [
        _rule(as_rule_fields(raw), index)
        for index, raw in enumerate(cast("list[dict[str, Any]]", fields.get("entries") or []))
    ]
    return msgspec.convert({**kept, "entries": entries}, Dictionary)


_HEADER: Final = (
    "name", "description", "category", "tags", "included_dictionary_ids", "is_active", "default_token_budget", "phase",
)  # fmt: skip


def _rule(raw: Mapping[str, Any], index: int) -> Rule:
    effects = {name: value for name, value in cast("dict[str, Any]", raw.get("timed_effects", {})).items() if value}
    probability = read_probability(raw.get("probability", 1.0))
    order = raw.get("sort_order")
    return Rule(
        id=str(raw.get("id", "")),
        pattern=raw["pattern"],
        replacement=raw.get("replacement", ""),
        type=rule_type(raw),
        probability=1.0 if probability is None else probability,
        group=str(raw["group"]) if raw.get("group") else None,
        timed_effects=TimedEffects(**effects),
        max_replacements=raw.get("max_replacements", 0),
        enabled=raw.get("enabled") is not False,
        case_sensitive=raw.get("case_sensitive") is not False,
        sort_order=order if isinstance(order, int) and not isinstance(order, bool) else index,
        phase=raw.get("phase"),
    )


def write_json(dictionary: Dictionary) -> dict[str, Any]:
    """Write all of a dictionary but the ids, which are this server's."""
    written = cast("dict[str, Any]", json.loads(msgspec.json.encode(dictionary)))
    del written["id"]
    for entry in written["entries"]:
        del entry["id"]
    return written


def read_markdown(content: str, compile_: Compile, *, name: str = "") -> Dictionary:
    """Read a dictionary as Markdown, or as `key: value` lines; `name` wins over its heading.

    A line that is neither is passed over. Raises UnreadableDictionary.
    """
    lines = content.removeprefix("\ufeff").splitlines()
    heading = next((found[1].strip() for line in lines if (found := _NAME.fullmatch(line.strip()))), "")
    structured = any(_ENTRY.fullmatch(line.strip()) for line in lines)
    entries = list(_structured(lines) if structured else _simple(lines))
    return read_json({"name": name or heading or "Dictionary", "entries": entries}, compile_)


def _structured(lines: list[str]) -> Iterator[dict[str, Any]]:
    entry: dict[str, Any] | None = None
    for line in lines:
        if found := _ENTRY.fullmatch(line.strip()):
            if entry is not None:
                yield entry
            entry = {"pattern": found[1].strip()}
        elif entry is not None and (bullet := _BULLET.fullmatch(line)):
            _put(entry, bullet[1].strip().lower(), bullet[2].strip())
    if entry is not None:
        yield entry


def _put(entry: dict[str, Any], label: str, value: str) -> None:
    name = _BULLETS.get(label)
    if name is None:
        return
    if name in ("pattern", "replacement", "group"):
        entry[name] = _unquoted(value)
    elif name in _EFFECTS:
        entry.setdefault("timed_effects", {})[name] = _number(value)
    elif name in ("enabled", "case_sensitive"):
        entry[name] = value.lower() not in ("false", "no", "off", "0")
    elif name == "max_replacements":
        entry[name] = _number(value)
    else:
        entry[name] = value.lower()


def _number(text: str) -> object:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "`" else value


def _simple(lines: list[str]) -> Iterator[dict[str, Any]]:
    rest = iter(lines)
    for line in rest:
        found = _SIMPLE.fullmatch(line.strip())
        if found is None or line.startswith("#"):
            continue
        value = (found[2] or "").strip()
        if value == "|":
            value = "\n".join(iter(lambda: next(rest, _END_OF_TEXT), _END_OF_TEXT))
        yield {"pattern": found[1].strip(), "replacement": value}


def write_markdown(dictionary: Dictionary) -> str:
    """Write a dictionary for people to read; texts of several lines, or with white space round them, in quotes."""
    head = [f"# {' '.join(dictionary.name.split())}", ""]
    if dictionary.description:
        head += [*(f"> {line}" for line in dictionary.description.splitlines()), ""]
    body = [line for rule in dictionary.entries for line in (*_written(rule, dictionary), "")]
    return "\n".join([*head, *body])


def _written(rule: Rule, dictionary: Dictionary) -> Iterator[str]:
    default = Rule(pattern=rule.pattern)
    yield f"## Entry: {' '.join(rule.pattern.split())}"
    yield f"- **Type**: {rule.type}"
    yield f"- **Pattern**: {_quoted(rule.pattern)}"
    yield f"- **Replacement**: {_quoted(rule.replacement)}"
    yield f"- **Probability**: {rule.probability}"
    yield f"- **Enabled**: {str(rule.enabled).lower()}"
    for label in _RULE_ORDER:
        value = (rule.phase or dictionary.phase) if label == "phase" else getattr(rule, label)
        if value not in (getattr(default, label), "pre"):
            shown = _quoted(value) if label == "group" else str(value).lower()
            yield f"- **{label.replace('_', ' ').capitalize()}**: {shown}"
    for effect in _EFFECTS:
        if seconds := getattr(rule.timed_effects, effect):
            yield f"- **{effect.capitalize()}**: {seconds}"


def _quoted(text: str) -> str:
    plain = text == text.strip() and len(text.splitlines()) <= 1 and text[:1] not in ('"', "`")
    return text if plain else json.dumps(text, ensure_ascii=False)
