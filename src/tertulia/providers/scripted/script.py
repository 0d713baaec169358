"""Scripts: what the fake says, at what pace, and how it fails.

A request brings its own script: as the parameter `script`, or as the last user message, `!script {…}`. Without one the
model's name decides: `echo` says the last user message back, `lorem` speaks filler text, `silent` says nothing.
"""

import random
from collections.abc import Sequence
from typing import Any, Final, Literal, cast

import msgspec

from tertulia.turn.content import Message
from tertulia.turn.events import Finish, FinishReason, Image, Reasoning, Refusal, Text, ToolCallDelta, UsageSeen
from tertulia.turn.request import Request
from tertulia.turn.usage import Usage, estimate_prompt, estimate_tokens

MODELS: Final = ("echo", "lorem", "silent", "chaos")
_MARK: Final = "!script"
_LOREM: Final = (
    "A gathering for good conversation needs little: a table, some cups, and people who have something to say. "
    "It begins when the second of them sits down, and it ends when nobody remembers how it began. "
)

FaultKind = Literal[
    "stall", "cut", "half_frame", "reset", "status", "error_event", "garbage", "no_terminal", "huge_frame", "html"
]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it fails, after how many pieces. `status`, `code`, `message`, `retry_after` are for an answer by status."""

    kind: FaultKind
    after: int = 0
    status: int = 500
    code: str | None = None
    message: str = "the script says so"
    retry_after: float | None = None


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call to make; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"
    id: str | None = None


class Used(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A count to report, right or wrong."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer. Times are milliseconds: before the first piece, and between pieces.

    `pieces` are said one by one; else `reply` is cut into pieces of `piece_chars`. `tear` sends the bytes of each
    piece cut in the middle, also in the middle of a character; `nul` begins the last piece with a character that no
    database takes. `usage` replaces what would be counted; "none" sends none.
    """

    reply: str | None = None
    pieces: tuple[str, ...] = ()
    piece_chars: int = 4
    repeat: int = 1
    delay_ms: float = 0
    pace_ms: float = 0
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[Call, ...] = ()
    images: tuple[str, ...] = ()
    finish: FinishReason | None = None
    usage: Used | Literal["none"] | None = None
    fault: Fault | None = None
    tear: bool = False
    nul: bool = False


Piece = Text | Reasoning | Refusal | ToolCallDelta | Image

_decode_script = msgspec.json.Decoder(Script).decode


def script_of(request: Request, model: str) -> Script:
    """Find the script of a request.

    Raises `ValueError` that says what is wrong with the one that it brings.
    """
    given = request.parameters.get("script")
    asked = _last_user_text(request.messages)
    try:
        if given is not None:
            return msgspec.convert(given, Script)
        if asked.startswith(_MARK):
            return _decode_script(asked[len(_MARK) :].strip() or "{}")
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ValueError(f"the script cannot be read: {error}") from None
    return _of_situation(request, model, asked)


def _of_situation(request: Request, model: str, asked: str) -> Script:
    if request.messages and request.messages[-1].role == "tool":
        return Script(reply=f"The tool said: {request.messages[-1].text()}")
    if tools := request.parameters.get("tools"):
        return Script(tool_calls=tuple(_call(tool) for tool in tools if _function(tool)))
    by_model = {"lorem": Script(reply=_LOREM, repeat=4), "silent": Script(reply="")}
    if model == "chaos":
        return _chaos(asked)
    return by_model.get(model) or Script(reply=asked or "You said nothing.")


def pieces_of(script: Script, request: Request) -> list[Piece]:
    """Give what is said, in order; text with its log probabilities where they are asked for."""
    said: list[Piece] = [Reasoning(part) for part in _cut(script.reasoning, script.piece_chars)]
    texts = list(script.pieces) or _cut(script.reply or "", script.piece_chars)
    if script.nul and texts:
        texts[-1] = "\x00" + texts[-1]
    wanted = request.parameters.get("logprobs") is True
    said += [Text(part, logprobs=_logprobs(part) if wanted else None) for part in texts * max(1, script.repeat)]
    said += [Refusal(part) for part in _cut(script.refusal, script.piece_chars)]
    said += [Image(url) for url in script.images]
    for index, call in enumerate(script.tool_calls):
        half = len(call.arguments) // 2
        said.append(ToolCallDelta(index, call.id or f"call_{index}", call.name, call.arguments[:half]))
        said.append(ToolCallDelta(index, arguments=call.arguments[half:]))
    return said


def finish_of(script: Script, choices: int) -> tuple[Finish, ...]:
    """Give how each choice ends."""
    reason: FinishReason = script.finish or ("tool_calls" if script.tool_calls else "stop")
    return tuple(Finish(reason, choice) for choice in range(choices))


def usage_of(script: Script, request: Request, said: Sequence[Piece]) -> UsageSeen | None:
    """Count what was used, as this provider counts: like our own estimate."""
    if script.usage == "none":
        return None
    if script.usage is not None:
        given = script.usage
        return UsageSeen(Usage(given.prompt, given.completion, given.cached, 0, given.reasoning))
    characters = sum(
        len(piece.text) if isinstance(piece, Text | Reasoning | Refusal) else len(getattr(piece, "arguments", ""))
        for piece in said
    )
    completion = max(1, estimate_tokens(characters)) if said else 0
    return UsageSeen(Usage(max(1, estimate_prompt(request.messages)), completion * request.choices))


def _logprobs(token: str) -> dict[str, Any]:
    """Give OpenAI's block for one token, of which this provider is always equally sure."""
    sure = {"token": token, "logprob": -0.25, "bytes": list(token.encode())}
    return {"content": [{**sure, "top_logprobs": []}], "refusal": None}


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), max(1, size))]


def _last_user_text(messages: Sequence[Message]) -> str:
    return next((message.text() for message in reversed(messages) if message.role == "user"), "")


def _function(tool: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", tool).get("function") if isinstance(tool, dict) else None


def _call(tool: Any) -> Call:
    function = _function(tool) or {}
    return Call(str(function.get("name", "")))


def _chaos(seed: str) -> Script:
    """Fail in a way that the text decides, so that a run can be told again."""
    dice = random.Random(seed)  # noqa: S311 - not for secrets: the same text must give the same fault
    kinds: tuple[FaultKind, ...] = ("cut", "half_frame", "reset", "status", "error_event", "garbage", "no_terminal")
    fault = Fault(dice.choice(kinds), after=dice.randrange(0, 20)) if dice.random() < 0.7 else None
    return Script(reply=_LOREM, pace_ms=dice.choice((0, 1, 5)), fault=fault, tear=dice.random() < 0.5)
