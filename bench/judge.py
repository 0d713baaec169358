"""Whether an answer is whole: the upstream's text to the letter, event by event, with finish, usage and `[DONE]`."""

from typing import Literal

import msgspec
import wire
from exchange import Exchange

Shape = Literal["blocking", "stream", "paced"]


class _Content(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Content
    finish_reason: str


class _Usage(msgspec.Struct):
    completion_tokens: int


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage


class Judge:
    """Says what an answer lacks; "" when it is whole."""

    def __init__(self, shape: Shape, events: int) -> None:
        self._stream = shape != "blocking"
        self._deltas = events if shape == "paced" else wire.BURST_DELTAS
        self._text = wire.text(self._deltas)
        self._completion = msgspec.json.Decoder(_Completion)

    def fault(self, exchange: Exchange) -> str:
        """Return the first thing found wrong."""
        if exchange.failure:
            return exchange.failure
        if exchange.status != 200:
            return f"HTTP {exchange.status}: {exchange.body[:200].decode(errors='replace')}"
        return self._stream_fault(exchange.body) if self._stream else self._answer_fault(exchange.body)

    def _answer_fault(self, body: bytes) -> str:
        try:
            completion = self._completion.decode(body)
        except msgspec.DecodeError as error:
            return f"not a completion: {error}"
        if len(completion.choices) != 1:
            return f"{len(completion.choices)} choices"
        choice = completion.choices[0]
        if choice.message.content != self._text or choice.finish_reason != "stop":
            return "the text is not the upstream's"
        return "" if completion.usage.completion_tokens == self._deltas else "the usage is not the upstream's"

    def _stream_fault(self, body: bytes) -> str:
        pieces = wire.pieces(body)
        if b"".join(pieces).decode() != self._text:
            return "the text is not the upstream's"
        if len(pieces) != self._deltas:
            return "events were merged"
        if b'"finish_reason":"stop"' not in body.replace(b": ", b":"):
            return "no finish"
        if b'"completion_tokens":%d' % self._deltas not in body.replace(b": ", b":"):
            return "no usage, or not the upstream's"
        return "" if body.rstrip().endswith(b"data: [DONE]") else "no [DONE] at the end"
