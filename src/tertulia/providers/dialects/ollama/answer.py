"""Read an answer of this wire: lines of JSON, the last with `done`; a whole body is such a last line."""

from typing import Any, Final

import msgspec

from tertulia.providers.dialects.reading import (
    Count,
    Json,
    count_of,
    dict_of,
    dicts_of,
    json_text,
    made_id,
    read_json,
    storable,
    text_of,
)
from tertulia.providers.failures import failure_in_stream, truncated, unreadable
from tertulia.providers.port import Finished, Said, UpstreamFault
from tertulia.turn.events import Finish, FinishReason, Image, Reasoning, Text, ToolCallDelta, UsageSeen
from tertulia.turn.usage import Usage

_REASONS: Final[dict[str, FinishReason]] = {"stop": "stop", "length": "length", "load": "stop", "unload": "stop"}


class _Message(msgspec.Struct, gc=False):
    """A piece of the answer."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Json] | None = None
    images: list[str] | None = None


class _Line(msgspec.Struct, gc=False):
    """One line."""

    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Count | None = None
    eval_count: Count | None = None
    logprobs: list[Json] | None = None
    error: Any = None


_decoder: Final = msgspec.json.Decoder(_Line)


class OllamaAnswer:
    """The state of one answer, ended by a line with `done`."""

    def __init__(self) -> None:
        self._calls = 0
        self._finish: Finish | None = None

    def take(self, event: bytes, data: bytes, out: list[Said]) -> bool:
        """Read one line (see `Answer`)."""
        del event
        line = _read_line(data)
        if line.error:
            raise UpstreamFault(failure_in_stream({"error": line.error}))
        if line.message is not None:
            self._message(line.message, line.logprobs, out)
        if not line.done:
            return False
        self._end(line, out)
        return True

    def flush(self, out: list[Said]) -> None:
        """Hold nothing back (see `Answer`)."""

    def finished(self, *, terminal: bool) -> Finished:
        """Give how it ended (see `Answer`)."""
        del terminal
        if self._finish is None:
            raise UpstreamFault(truncated())
        return Finished((self._finish,))

    def _message(self, message: _Message, logprobs: list[Json] | None, out: list[Said]) -> None:
        if message.thinking:
            out.append(Reasoning(message.thinking))
        if message.content or logprobs:
            out.append(Text(message.content or "", logprobs=storable({"content": logprobs}) if logprobs else None))
        out.extend(self._call(call) for call in message.tool_calls or ())
        out.extend(Image(f"data:image/png;base64,{image}") for image in message.images or ())

    def _call(self, call: Json) -> ToolCallDelta:
        """Read a whole call; its place is its order, and an id is made where there is none."""
        index, self._calls = self._calls, self._calls + 1
        function = dict_of(call.get("function"))
        name = text_of(function.get("name")) or ""
        given = function.get("arguments")
        arguments = given if isinstance(given, str) else json_text(given or {})
        return ToolCallDelta(
            index=index,
            id=text_of(call.get("id")) or made_id(index, name, arguments),
            name=name,
            arguments=arguments or "{}",
        )

    def _end(self, line: _Line, out: list[Said]) -> None:
        if line.prompt_eval_count is not None or line.eval_count is not None:
            out.append(UsageSeen(Usage(prompt=line.prompt_eval_count or 0, completion=line.eval_count or 0)))
        word = line.done_reason
        reason = _REASONS.get(word or "stop", "stop")
        self._finish = Finish("tool_calls" if reason == "stop" and self._calls else reason, native=word)


def _read_line(data: bytes) -> _Line:
    try:
        return _decoder.decode(data)
    except (ValueError, RecursionError):
        value = read_json(data)
    if not isinstance(value, dict):
        raise UpstreamFault(unreadable("a line is not a JSON object."))
    return _patiently(dict_of(value))


def _patiently(fields: Json) -> _Line:
    """Read a line field by field: what has the wrong type counts as absent."""
    message = dict_of(fields.get("message"))
    return _Line(
        message=_Message(
            content=text_of(message.get("content")),
            thinking=text_of(message.get("thinking")),
            tool_calls=dicts_of(message.get("tool_calls")),
        ),
        done=fields.get("done") is True,
        done_reason=text_of(fields.get("done_reason")),
        prompt_eval_count=count_of(fields, "prompt_eval_count"),
        eval_count=count_of(fields, "eval_count"),
        logprobs=dicts_of(fields.get("logprobs")) or None,
        error=fields.get("error"),
    )
