"""An answer as a sequence of blocks, for dialects whose blocks follow one another.

Chat Completions may interleave the fragments of parallel tool calls; Anthropic's blocks and the items of the Responses
API end before the next begins, and clients run a tool when its block ends.
"""

from typing import final

import msgspec

from tertulia.turn.events import Delta, ToolCallDelta


@final
class Contiguous:
    """Reorders deltas of one choice so that each tool call comes in one piece, with as little waiting as that takes.

    While the arguments of a call are not yet a whole JSON value, what belongs elsewhere waits for them. A custom tool's
    input is free text, so only the end of the answer ends it.
    """

    __slots__ = ("_arguments", "_call", "_custom", "_waiting")

    def __init__(self) -> None:
        self._call: int | None = None
        self._custom = False
        self._arguments: list[str] = []
        self._waiting: list[Delta] = []

    @property
    def idle(self) -> bool:
        """Whether no call is running, so that a delta that is no call's would come back as it is."""
        return self._call is None

    def add(self, delta: Delta) -> list[Delta]:
        """Take a delta, and give those whose turn it is."""
        if isinstance(delta, ToolCallDelta) and (self._call is None or delta.index == self._call):
            return self._of_call(delta)
        if self._call is None:
            return [delta]
        self._waiting.append(delta)
        return [] if self._waiting[1:] or not self._whole() else self._release()

    def close(self) -> list[Delta]:
        """Give what waits: the answer has ended."""
        out: list[Delta] = []
        while self._waiting:
            out += self._release()
        self._call = None
        return out

    def _of_call(self, delta: ToolCallDelta) -> list[Delta]:
        if self._call is None:
            self._call, self._custom, self._arguments = delta.index, delta.kind == "custom", []
        self._arguments.append(delta.arguments)
        if self._waiting and self._whole():
            return [delta, *self._release()]
        return [delta]

    def _release(self) -> list[Delta]:
        """End the running call, and take what waits in its order."""
        waiting, self._waiting, self._call = self._waiting, [], None
        return [ready for delta in waiting for ready in self.add(delta)]

    def _whole(self) -> bool:
        if self._custom:
            return False
        try:
            msgspec.json.decode("".join(self._arguments))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return True
