"""What is asked of a model: one request, whatever face it came through and whatever provider it goes to."""

from typing import Any

import msgspec

from tertulia.turn.content import Message


class Request(msgspec.Struct, frozen=True):
    """A prompt and its parameters.

    `parameters` are OpenAI's, by their snake_case names, already checked for form; what is not known here is in it
    too, and goes to the provider as it is. `stream` says how the caller wants it told; the upstream may differ.
    """

    messages: tuple[Message, ...]
    parameters: dict[str, Any]
    stream: bool = False

    @property
    def choices(self) -> int:
        """How many answers are asked for (OpenAI's `n`)."""
        n = self.parameters.get("n")
        return n if isinstance(n, int) else 1

    @property
    def max_tokens(self) -> int | None:
        """The cap on the answer's length, by either of OpenAI's names."""
        value = self.parameters.get("max_completion_tokens")
        return value if value is not None else self.parameters.get("max_tokens")
