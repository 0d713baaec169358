"""Many literals looked for in one reading of a text: an RE2 set of literals, built as far as texts need it."""

from collections.abc import Iterator
from typing import Any, Final, cast

import re2 as _re2  # pyright: ignore[reportMissingTypeStubs]

re2: Final = cast("Any", _re2)  # it ships no types
_CHUNK: Final = 16_384  # literals in one automaton
_PREFIX: Final = 48  # characters of a literal that the automaton knows
_FEW: Final = 24  # so many are found faster one by one
_MEMORY: Final = 32 << 20  # bytes, at most, of one automaton


class LiteralSet:
    """Literals with the numbers that they stand for. Fill it, build it, then look."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, list[int]] = {}
        self._automata: list[tuple[Any, list[bytes]]] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, literal: str, number: int) -> None:
        """Look for a literal too; of a long one only for its beginning."""
        self._numbers.setdefault(literal[:_PREFIX].encode(errors="replace"), []).append(number)

    def build(self) -> None:
        """Make the automata, which costs some 4 µs a literal; a few literals need none."""
        if len(self._numbers) > _FEW:
            self._automata = _build(list(self._numbers))

    def found(self, data: bytes) -> Iterator[int]:
        """Give the numbers of the literals that may be in a text; of short ones without lone surrogates, that are."""
        for literal in self._present(data):
            yield from self._numbers[literal]

    def _present(self, data: bytes) -> Iterator[bytes]:
        if len(self._numbers) <= _FEW:
            yield from (literal for literal in self._numbers if literal in data)
            return
        for automaton, literals in self._automata:
            matches = cast("list[int] | None", automaton.Match(data))
            if matches is None:  # the automaton ran out of memory, since its first literal is in every text
                yield from (literal for literal in literals if literal in data)
            else:
                yield from (literals[match - 1] for match in matches if match)


def _build(literals: list[bytes]) -> list[tuple[Any, list[bytes]]]:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.literal = True
    automata: list[tuple[Any, list[bytes]]] = []
    for start in range(0, len(literals), _CHUNK):
        chunk = literals[start : start + _CHUNK]
        automaton = re2.Set.SearchSet(options)
        automaton.Add(b"")
        for literal in chunk:
            automaton.Add(literal)
        automaton.Compile()
        automata.append((automaton, chunk))
    return automata
