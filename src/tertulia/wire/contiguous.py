"""An answer as a sequence of blocks, for dialects whose blocks follow one another.

Chat Completions may interleave the fragments of parallel tool calls; Anthropic's blocks and the items of the Responses
API end before the next begins, and clients run a tool when its block ends.
"""

import re
from typing import Final, final

from tertulia.turn.events import Delta, ToolCallDelta

_MARKS: Final = re.compile(r'\\.|["\\\[\]{}]', re.DOTALL)


class _Arguments:
    """Whether what has come is a whole JSON object, or array; each character is looked at once, and when it matters."""

    __slots__ = ("_begun", "_depth", "_in_text", "_new", "custom", "index")

    def __init__(self, first: ToolCallDelta) -> None:
        self.index = first.index
        self.custom = first.kind == "custom"  # free text, so that only the end of the answer ends it
        self._new: list[str] = []
        self._begun = False
        self._depth = 0
        self._in_text = False

    def add(self, piece: str) -> None:
        self._new.append(piece)

    def whole(self) -> bool:
        text = "".join(self._new)
        self._new.clear()
        for mark in _MARKS.findall(text):
            if mark == "\\":  # the last character: it waits for what it escapes
                self._new.append(mark)
            elif mark == '"':
                self._in_text = not self._in_text
            elif len(mark) == 1 and not self._in_text:
                self._begun = True
                self._depth += 1 if mark in "[{" else -1
        return self._begun and not self.custom and not self._in_text and self._depth == 0


@final
class Contiguous:
    """Reorders deltas of one choice so that each tool call comes in one piece, with as little waiting as that takes.

    While the arguments of a call are not yet a whole JSON object, what belongs elsewhere waits for them. What still
    comes for a call that has ended so is passed on where it stands; it can be nothing but white space.
    """

    __slots__ = ("_call", "_ended", "_waiting")

    def __init__(self) -> None:
        self._call: _Arguments | None = None
        self._ended: set[int] = set()
        self._waiting: list[Delta] = []

    def add(self, delta: Delta) -> list[Delta]:
        """Take a delta, and give those whose turn it is."""
        call = self._call
        if isinstance(delta, ToolCallDelta) and delta.index not in self._ended:
            if call is None or delta.index == call.index:
                return self._of_call(delta)
        elif call is None or isinstance(delta, ToolCallDelta):
            return [delta]
        self._waiting.append(delta)
        return self._release() if len(self._waiting) == 1 and call.whole() else []

    def close(self) -> list[Delta]:
        """Give what waits: the answer has ended."""
        out: list[Delta] = []
        while self._waiting:
            out += self._release()
        self._call = None
        return out

    def _of_call(self, delta: ToolCallDelta) -> list[Delta]:
        if self._call is None:
            self._call = _Arguments(delta)
        self._call.add(delta.arguments)
        if self._waiting and self._call.whole():
            return [delta, *self._release()]
        return [delta]

    def _release(self) -> list[Delta]:
        """End the running call, and take what waits in its order."""
        if self._call is not None:
            self._ended.add(self._call.index)
        waiting, self._waiting, self._call = self._waiting, [], None
        return [ready for delta in waiting for ready in self.add(delta)]
