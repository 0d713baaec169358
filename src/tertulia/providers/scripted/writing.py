"""The fake's answers in OpenAI's wire: chunks of a stream, or one whole body."""

from collections.abc import Sequence
from typing import Any, Final, final

import msgspec

from tertulia.providers.scripted.script import Piece, Script
from tertulia.turn.events import Finish, Image, Reasoning, Refusal, Text, ToolCallDelta, UsageSeen

Json = dict[str, Any]

encode: Final = msgspec.json.encode


@final
class Writing:
    """Writes for one request: `n` choices, all alike, of one model."""

    def __init__(self, model: str, n: int) -> None:
        self._model = model
        self._n = n

    def piece(self, piece: Piece) -> bytes:
        """Write a chunk with one piece."""
        return self.chunk(_delta(piece), logprobs=piece.logprobs if isinstance(piece, Text) else None)

    def chunk(self, delta: Json, finish: Finish | None = None, logprobs: Any = None) -> bytes:
        """Write a chunk with a delta: to every choice, or to the one that finishes."""
        indexes = range(self._n) if finish is None else (finish.choice,)
        reason = finish.reason if finish else None
        also = {} if logprobs is None else {"logprobs": logprobs}
        choices = [{"index": index, "delta": delta, "finish_reason": reason, **also} for index in indexes]
        return sse({**self._frame("chat.completion.chunk"), "choices": choices})

    def usage(self, used: UsageSeen) -> bytes:
        """Write the last chunk, which has the count."""
        return sse({**self._frame("chat.completion.chunk"), "choices": [], "usage": _usage(used)})

    def whole(self, script: Script, said: Sequence[Piece], finishes: Sequence[Finish], used: UsageSeen | None) -> bytes:
        """Write the answer as one body."""
        message, logprobs = _message(script, said), _logprobs(said)
        choices = [
            {"index": finish.choice, "message": message, "finish_reason": finish.reason, "logprobs": logprobs}
            for finish in finishes
        ]
        answer = {**self._frame("chat.completion"), "choices": choices}
        if used is not None:
            answer["usage"] = _usage(used)
        return encode(answer)

    def _frame(self, kind: str) -> Json:
        return {"id": "chatcmpl-scripted", "object": kind, "created": 0, "model": self._model}


def sse(value: Json) -> bytes:
    """Write a frame of a stream."""
    return b"data: " + encode(value) + b"\n\n"


def error_body(message: str, code: str | None, kind: str = "scripted") -> bytes:
    """Write an error."""
    return encode({"error": {"message": message, "type": kind, "code": code}})


def _delta(piece: Piece) -> Json:
    match piece:
        case Text():
            return {"content": piece.text}
        case Reasoning():
            return {"reasoning_content": piece.text}
        case Refusal():
            return {"refusal": piece.text}
        case Image():
            return {"images": [_image(piece.url)]}
        case ToolCallDelta():
            function: Json = {"arguments": piece.arguments}
            call: Json = {"index": piece.index, "function": function}
            if piece.id:
                call |= {"id": piece.id, "type": "function"}
                function["name"] = piece.name
            return {"tool_calls": [call]}


def _message(script: Script, said: Sequence[Piece]) -> Json:
    message: Json = {"role": "assistant", "content": _joined(said, Text) or None}
    for name, kind in (("reasoning_content", Reasoning), ("refusal", Refusal)):
        if text := _joined(said, kind):
            message[name] = text
    if script.images:
        message["images"] = [_image(url) for url in script.images]
    if script.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id or f"call_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(script.tool_calls)
        ]
    return message


def _joined(said: Sequence[Piece], kind: type[Text] | type[Reasoning] | type[Refusal]) -> str:
    return "".join(piece.text for piece in said if isinstance(piece, kind))


def _logprobs(said: Sequence[Piece]) -> Json | None:
    pieces = [piece.logprobs for piece in said if isinstance(piece, Text) and piece.logprobs is not None]
    return {"content": [token for piece in pieces for token in piece["content"]], "refusal": None} if pieces else None


def _image(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def _usage(used: UsageSeen) -> Json:
    usage = used.usage
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
