"""YAML as cards carry it: plain data only, read from parser events, so that nothing is built before it is counted.

Scalars follow YAML 1.2's core schema as far as JSON has the value: `yes`, `12:30` and `2024-01-01` are text, as in
the programs that write such files. Tags beyond the core schema are refused; aliases are copied, up to a limit.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final, cast

import msgspec
import yaml

from tertulia.characters.cards.errors import CardError, CardTooLargeError
from tertulia.characters.cards.limits import MAX_ALIASED_NODES, MAX_DEPTH, MAX_JSON_BYTES, MAX_YAML_VALUES
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.tree import Number, Object, Tree, is_object, read_integer, read_real, settle

_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final = frozenset({"!", *(_CORE + kind for kind in ("str", "int", "float", "bool", "null"))})
_COLLECTION_TAGS: Final = frozenset({"!", _CORE + "map", _CORE + "seq"})
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_REAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BLOCK = re.compile(r"[^\n\s](?:[^\x00-\x08\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff\t]|\n)*", re.DOTALL)


def parse_yaml(text: str, remarks: Remarks) -> Tree:
    """Parse the first document of `text`, a mapping.

    Raises CardTooLargeError, and CardError: `unsafe_tag`, `alias_expansion`, `too_deep`, `too_many`, `undecodable`,
    `not_a_card` for what is no mapping.
    """
    if len(text) > MAX_JSON_BYTES:
        raise CardTooLargeError("size", f"The YAML is over {MAX_JSON_BYTES // 2**20} MiB; take text out of it.")
    try:
        composer = _Composer(remarks)
        value = composer.first_document(_events(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise CardError("undecodable", f"Not readable as YAML{line}; check its indentation and quotes.") from None
    if not is_object(value):
        raise CardError("not_a_card", "The YAML is not a mapping; a card is one.")
    odd = composer.odd or "\\" in text  # an escape may stand for what no store takes
    return settle(value, remarks) if odd else Tree(value)


def _events(text: str) -> Iterator[yaml.Event]:
    parse = cast("Callable[..., Iterator[yaml.Event]]", yaml.parse)  # pyright: ignore[reportUnknownMemberType] - untyped
    return parse(text, Loader=yaml.CSafeLoader)


class _Frame:
    """A collection that is being read: where values go, the key that waits for one, and how much it will weigh."""

    __slots__ = ("anchor", "awaits_key", "key", "nodes", "value")

    def __init__(self, value: Object | list[Any], anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.awaits_key = isinstance(value, dict)
        self.key = ""
        self.nodes = 1


class _Composer:
    """Builds the tree of the first document, counting as it goes."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks
        self._frames = [_Frame([], None)]  # the document itself, as a list of one
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._aliased = 0
        self.odd = False  # whether a number keeps its form

    def first_document(self, events: Iterator[yaml.Event]) -> Any:
        take: dict[type[yaml.Event], Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._mapping,
            yaml.SequenceStartEvent: self._sequence,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
        }
        for event in events:
            if (taken := take.get(type(event))) is not None:
                taken(event)
            elif isinstance(event, yaml.DocumentStartEvent) and self._count:
                self._remarks.add("more_documents", "The YAML has several documents; the first one was read.")
                break
        return next(iter(self._frames[0].value), None)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        tag = event.tag
        if tag is not None:
            _check_tag(tag, _SCALAR_TAGS)
        frame = self._frames[-1]
        if frame.awaits_key:
            self._key(frame, event)
            return
        value: Any = event.value
        if event.implicit[0] if tag is None else _typed(tag):
            value = _resolved(value)
            self.odd = self.odd or isinstance(value, Number)
        self._put(value, 1, event.anchor)

    def _key(self, frame: _Frame, event: yaml.ScalarEvent) -> None:
        frame.awaits_key = False
        frame.key = event.value
        if event.anchor:
            self._anchors[event.anchor] = (event.value, 1)
        if event.value in frame.value:
            self._remarks.add("duplicate_key", "A YAML mapping has the same key twice; the last value counts.")

    def _mapping(self, event: yaml.MappingStartEvent) -> None:
        self._open({}, event)

    def _sequence(self, event: yaml.SequenceStartEvent) -> None:
        self._open([], event)

    def _open(self, value: Object | list[Any], event: yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            _check_tag(event.tag, _COLLECTION_TAGS)
        if self._frames[-1].awaits_key:
            raise CardError("undecodable", "A YAML key is a collection; keys of a card are words.")
        if len(self._frames) > MAX_DEPTH:
            raise CardError("too_deep", f"The YAML is nested deeper than {MAX_DEPTH} levels; it is not read.")
        self._frames.append(_Frame(value, event.anchor))

    def _close(self, _: yaml.Event) -> None:
        frame = self._frames.pop()
        self._put(frame.value, frame.nodes, frame.anchor)

    def _alias(self, event: yaml.AliasEvent) -> None:
        value, nodes = self._anchors.get(event.anchor, (None, MAX_ALIASED_NODES + 1))
        self._aliased += nodes
        if self._aliased > MAX_ALIASED_NODES:
            raise CardError("alias_expansion", f"YAML aliases of over {MAX_ALIASED_NODES} nodes are not expanded.")
        if self._frames[-1].awaits_key:
            raise CardError("undecodable", "A YAML key is an alias; keys of a card are words.")
        self._put(deepcopy(value), nodes, None)

    def _put(self, value: Any, nodes: int, anchor: str | None) -> None:
        self._count += 1
        if self._count > MAX_YAML_VALUES:
            raise CardError("too_many", f"The YAML has more than {MAX_YAML_VALUES} values; no card needs that many.")
        if anchor:
            self._anchors[anchor] = (value, nodes)
        frame = self._frames[-1]
        frame.nodes += nodes
        if isinstance(frame.value, list):
            frame.value.append(value)
        else:
            frame.value[frame.key] = value
            frame.awaits_key = True


def _check_tag(tag: str, allowed: frozenset[str]) -> None:
    if tag not in allowed:
        raise CardError("unsafe_tag", "The YAML has a tag that asks for more than plain data; it is not read.")


def _typed(tag: str) -> bool:
    return tag not in {"!", _CORE + "str"}


def _resolved(word: str) -> bool | int | float | str | None:
    if word in _WORDS:
        return _WORDS[word]
    if word[0] not in "-0123456789":
        return word
    if _INTEGER.fullmatch(word):
        return read_integer(word)
    return read_real(word) if _REAL.fullmatch(word) else word


class _Dumper(yaml.CSafeDumper):
    """Writes what `parse_yaml` reads back as the same tree: text that looks like something else is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def scalar(self, kind: str, value: str, style: str | None = None) -> yaml.ScalarNode:
        represent = cast("Callable[..., yaml.ScalarNode]", self.represent_scalar)  # pyright: ignore[reportUnknownMemberType]
        return represent(_CORE + kind, value, style=style)


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    if "\n" in text and _BLOCK.fullmatch(text) and " \n" not in text:
        return dumper.scalar("str", text, "|")
    return dumper.scalar("str", text, '"' if _is_special(text) else None)


def _is_special(text: str) -> bool:
    return "\n" in text or not text.isprintable() or not isinstance(_resolved(text), str)


def _represent_number(dumper: _Dumper, number: float) -> yaml.ScalarNode:
    literal = number.literal if isinstance(number, Number) else msgspec.json.encode(number).decode()
    return dumper.scalar("int" if _INTEGER.fullmatch(literal) else "float", literal)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_number)
_Dumper.add_representer(Number, _represent_number)


def dump_yaml(root: Object) -> str:
    """Write a tree, armed or settled, as YAML: keys in their order, many-line texts as blocks."""
    return yaml.dump(root, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=2**31 - 1)
