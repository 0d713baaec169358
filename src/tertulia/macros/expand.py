r"""Expands macros: one pass from the left, inner before outer, each result final. Source: characters, 1.7.

Bounded: 64 levels, 10,000 macros and 1 MiB of results a text; what is beyond stays as it is written. Chance, clock and
variables are handed in; an expander never writes anywhere but into the variables' own `changes`.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Final

from tertulia.macros.context import Context
from tertulia.macros.library import LIBRARY, TRIM, Call, Definition, opens
from tertulia.macros.syntax import (
    MAX_DEPTH,
    MAX_MACROS,
    Closing,
    Macro,
    Node,
    Nodes,
    Text,
    Variable,
    may_expand,
    modernised,
    parse,
)
from tertulia.macros.variables import Store, compare, is_false

_MAX_RESULTS: Final = 1 << 20
_TRIMMED: Final = re.compile(f"(?:\r?\n)*{TRIM}(?:\r?\n)*")
_ESCAPED: Final = re.compile(r"\\([{}])")
_VARIABLE: Final = re.compile(r"([.$])([A-Za-z](?:[\w-]*\w)?)")
_STOPPING: Final = frozenset(("??", "||", "??=", "||="))


class Expander:
    """Expands the texts of one turn. `local` are the variables of the chat, `everywhere` those of the user."""

    def __init__(
        self,
        context: Context,
        *,
        random: Callable[[], float],
        now: datetime,
        local: Store | None = None,
        everywhere: Store | None = None,
    ) -> None:
        self.context = context
        self.random = random
        self.now = now
        self.local = local or Store()
        self.everywhere = everywhere or Store()
        self._fields: dict[str, str] = {}
        self._open_fields: set[str] = set()

    def expand(self, text: str, *, original: str | None = None) -> str:
        """Give a text with its macros expanded.

        `original` is what an overriding prompt replaces: `{{original}}` gives it once; without it the macro stays.
        """
        if not may_expand(text):
            return text
        return _Pass(self, modernised(text), original).result()

    def field(self, name: str) -> str:
        """Give a text of the card, expanded once; within itself it is empty."""
        if name in self._fields:
            return self._fields[name]
        if name in self._open_fields:
            return ""
        group, _, index = name.partition(".")
        written = self.context.greetings[int(index)] if group == "greetings" else getattr(self.context, name)
        self._open_fields.add(name)
        self._fields[name] = self.expand(written)
        self._open_fields.discard(name)
        return self._fields[name]


class _Pass:
    """One text being expanded."""

    def __init__(self, world: Expander, text: str, original: str | None) -> None:
        self._world = world
        self._text = text
        self._original = original
        self._macros = MAX_MACROS
        self._room = _MAX_RESULTS
        self._trims = False

    def result(self) -> str:
        text = self._nodes(parse(self._text, opens), 0)
        if "\\" in text:
            text = _ESCAPED.sub(r"\1", text)
        return _TRIMMED.sub("", text) if self._trims else text

    def _nodes(self, nodes: Sequence[Node], depth: int) -> str:
        return "".join(self._node(node, depth) for node in nodes)

    def _node(self, node: Node, depth: int) -> str:
        if isinstance(node, Text):
            return node.text
        if isinstance(node, Closing):
            return node.written
        self._macros -= 1
        if self._macros < 0 or depth > MAX_DEPTH or self._room <= 0:
            return self._text[node.at : node.end]
        value = self._variable(node, depth + 1) if isinstance(node, Variable) else self._macro(node, depth + 1)
        self._room -= len(value)
        return value if self._room > 0 else self._text[node.at : node.end]

    # Macros

    def _macro(self, node: Macro, depth: int) -> str:
        if node.name == "if":
            return self._if(node, depth)
        if node.name == "original" and self._original is not None and not node.arguments:
            value, self._original = self._original, ""
            return value
        arguments = [self._nodes(argument, depth) for argument in node.arguments]
        body = None if node.body is None else self._nodes(node.body, depth)
        definition = LIBRARY.get(node.name)
        value = None if definition is None else self._run(definition, node, arguments, body)
        return self._verbatim(node, arguments, body) if value is None else value

    def _run(self, definition: Definition, node: Macro, arguments: list[str], body: str | None) -> str | None:
        values = [argument.strip() for argument in arguments]
        if body is not None:
            values.append(body if node.keeps_space else dedented(body))
        if not definition.least <= len(values) <= definition.most:
            return None
        value = definition.run(Call(self._world, tuple(values), lambda: f"{self._digest}-{node.at}"))
        self._trims = self._trims or value == TRIM
        return value

    @cached_property
    def _digest(self) -> str:
        return hashlib.blake2b(self._text.encode(errors="replace"), digest_size=8).hexdigest()

    def _verbatim(self, node: Macro, arguments: list[str], body: str | None) -> str:
        written = f"{node.head}{'::'.join(arguments)}}}}}"
        return written if body is None else f"{written}{body}{node.closing}"

    # Conditions

    def _if(self, node: Macro, depth: int) -> str:
        if node.body is None and len(node.arguments) == 2:
            yes, no = node.arguments[1], ()
        elif node.body is not None and len(node.arguments) == 1:
            yes, no = _branches(node.body)
        else:
            arguments = [self._nodes(argument, depth) for argument in node.arguments]
            return self._verbatim(node, arguments, None)
        taken = self._nodes(yes if self._holds(node.arguments[0], depth) else no, depth)
        if node.body is None:
            return taken.strip()
        return taken if node.keeps_space else dedented(taken)

    def _holds(self, condition: Nodes, depth: int) -> bool:
        """Say whether a condition holds; `!` before it turns it round."""
        first = condition[0] if condition else None
        written = first.text.lstrip() if isinstance(first, Text) else ""
        if written.startswith("!"):
            return not self._holds((Text(written[1:]), *condition[1:]), depth)
        if len(condition) == 1 and (named := self._named(written.strip(), depth)) is not None:
            return not is_false(named)
        return not is_false(self._nodes(condition, depth))

    def _named(self, word: str, depth: int) -> str | None:
        """Give the value of a variable or of a macro without arguments that a condition names."""
        if found := _VARIABLE.fullmatch(word):
            return self._store(is_global=found[1] == "$").get(found[2]) or ""
        definition = LIBRARY.get(word.lower())
        if definition is None or definition.least > 0:
            return None
        return self._node(Macro(word.lower(), f"{{{{{word}", (), 0, 0), depth)

    # Variables

    def _store(self, *, is_global: bool) -> Store:
        return self._world.everywhere if is_global else self._world.local

    def _variable(self, node: Variable, depth: int) -> str:
        store = self._store(is_global=node.is_global)
        current = store.get(node.name)
        if node.operator in _STOPPING:
            return self._defaulted(node, store, current, depth)
        value = self._nodes(node.value, depth).strip()
        self._room -= len(value)
        match node.operator:
            case "":
                return current or ""
            case "++":
                return store.add(node.name, "1")
            case "--":
                return store.add(node.name, "-1")
            case "=":
                store.set(node.name, value)
            case "+=":
                store.add(node.name, value)
            case "-=":
                store.subtract(node.name, value)
            case comparison:
                return "true" if compare(current or "", comparison, value) else "false"
        return ""

    def _defaulted(self, node: Variable, store: Store, current: str | None, depth: int) -> str:
        """Give the variable, or the value after it when it is missing (`??`), or empty or false (`||`)."""
        missing = current is None if node.operator.startswith("??") else is_false(current or "")
        if not missing:
            return current or ""
        value = self._nodes(node.value, depth).strip()
        if node.operator.endswith("="):
            store.set(node.name, value)
        return value


def _branches(body: Nodes) -> tuple[Nodes, Nodes]:
    for at, node in enumerate(body):
        if isinstance(node, Macro) and node.name == "else" and not node.arguments:
            return body[:at], body[at + 1 :]
    return body, ()


def dedented(text: str) -> str:
    """Trim a scoped body, and take the indent of its first line off every line."""
    lines = text.strip("\r\n").split("\n")
    first = next((line for line in lines if line.strip()), "")
    indent = len(first) - len(first.lstrip(" \t"))
    shortest = (line[min(indent, len(line) - len(line.lstrip(" \t"))) :] for line in lines)
    return "\n".join(shortest).strip()
