"""The macros by name, with how many arguments they take. Source: characters, 1.7 "Names".

Those of text-completion templates are empty here; those of SillyTavern's page, and unknown ones, are not in the list
and so stay as they are written. `if` and `else` belong to the expander.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Final, Protocol

import msgspec

from tertulia.macros.context import Context, Line
from tertulia.macros.dice import roll
from tertulia.macros.moments import humanised, moment_format, parse_time, relative
from tertulia.macros.variables import Store

MANY: Final = 1000
TRIM: Final = "\ufdd0"  # a code point that is no character: where {{trim}} stood, until the text is done
_COMMA: Final = re.compile(r"(?<!\\),")
_ZONE: Final = re.compile(r"UTC([+-]\d{1,2})", re.IGNORECASE)
_MAX_BLANKS: Final = 1000


class World(Protocol):
    """What a macro may ask of the expander."""

    context: Context
    now: datetime
    random: Callable[[], float]
    local: Store
    everywhere: Store

    def field(self, name: str) -> str:
        """Give a text of the card or the persona, with its own macros expanded."""
        ...


class Call(msgspec.Struct, frozen=True):
    """One use of a macro: its arguments, trimmed, and where it stands in which text."""

    world: World
    arguments: tuple[str, ...]
    place: Callable[[], str]


Run = Callable[[Call], str | None]


class Definition(msgspec.Struct, frozen=True):
    """A macro. `run` gives its value; None when an argument is of the wrong type, and it stays as written."""

    run: Run
    least: int = 0
    most: int = 0


def opens(name: str, arguments: int) -> bool:
    """Say whether a macro with so many arguments can take a scoped body as one more."""
    if name == "if":
        return arguments == 1
    definition = LIBRARY.get(name)
    return definition is not None and definition.least <= arguments + 1 <= definition.most


# The cast and the card


def _of_context(read: Callable[[Context], str]) -> Run:
    return lambda call: read(call.world.context)


def _field(name: str) -> Run:
    return lambda call: call.world.field(name)


def _number(read: Callable[[Context], int | None]) -> Run:
    def run(call: Call) -> str:
        number = read(call.world.context)
        return "" if number is None else str(number)

    return run


def _others(context: Context) -> str:
    return ", ".join([*(name for name in context.group if name != context.char), context.user])


def _greeting(call: Call) -> str | None:
    index = _whole(call.arguments[0]) if call.arguments else 0
    if index is None:
        return None
    greetings = call.world.context.greetings
    return call.world.field(f"greetings.{index}") if 0 <= index < len(greetings) else ""


# The chat


def _last(lines: tuple[Line, ...], *, is_user: bool | None = None) -> Line | None:
    return next((line for line in reversed(lines) if is_user in (None, line.is_user)), None)


def _last_text(*, is_user: bool | None = None) -> Run:
    def run(call: Call) -> str:
        line = _last(call.world.context.lines, is_user=is_user)
        return line.text if line else ""

    return run


def _of_last(read: Callable[[Line], int]) -> Run:
    def run(call: Call) -> str:
        line = _last(call.world.context.lines)
        return str(read(line)) if line else ""

    return run


def _last_id(context: Context) -> int | None:
    return len(context.lines) - 1 if context.lines else None


def _idle(call: Call) -> str:
    spoken = _last(call.world.context.lines, is_user=True)
    return humanised(call.world.now - spoken.at) if spoken and spoken.at else "just now"


# Time


def _time(form: str) -> Run:
    return lambda call: moment_format(call.world.now, form)


def _time_at(call: Call) -> str | None:
    if not call.arguments:
        return moment_format(call.world.now, "LT")
    zone = _ZONE.fullmatch(call.arguments[0])
    if zone is None or abs(int(zone[1])) > 23:
        return None
    return moment_format(call.world.now.astimezone(timezone(timedelta(hours=int(zone[1])))), "LT")


def _difference(call: Call) -> str:
    first, second = (parse_time(text, call.world.now) for text in call.arguments)
    return relative(first - second) if first and second else ""


# Text and chance


def _blanks(letter: str) -> Run:
    def run(call: Call) -> str | None:
        count = _whole(call.arguments[0]) if call.arguments else 1
        return None if count is None else letter * min(max(count, 0), _MAX_BLANKS)

    return run


def _choices(arguments: tuple[str, ...]) -> list[str]:
    text, *others = arguments
    if others:
        return [text, *others]
    parts = text.split("::") if "::" in text else [part.replace("\\,", ",") for part in _COMMA.split(text)]
    return [part.strip() for part in parts]


def _random(call: Call) -> str:
    choices = _choices(call.arguments)
    return choices[min(int(call.world.random() * len(choices)), len(choices) - 1)]


def _pick(call: Call) -> str:
    """Choose as the chat, the text and the place in it say: the same each time, until the chat is rerolled."""
    choices = _choices(call.arguments)
    context = call.world.context
    seed = "-".join(part for part in (context.chat_key, call.place(), context.reroll) if part)
    digest = hashlib.blake2b(seed.encode(errors="replace"), digest_size=8).digest()
    return choices[int.from_bytes(digest) % len(choices)]


def _outlet(call: Call) -> str:
    return "\n".join(call.world.context.outlets.get(call.arguments[0], ()))


def _whole(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 9 else None


# Variables


def _variable_macros(prefix: str, store: Callable[[World], Store]) -> dict[str, Definition]:
    def at(call: Call) -> Store:
        return store(call.world)

    def put(call: Call) -> str:
        at(call).set(call.arguments[0], call.arguments[1])
        return ""

    def add(call: Call) -> str:
        at(call).add(call.arguments[0], call.arguments[1])
        return ""

    def drop(call: Call) -> str:
        at(call).delete(call.arguments[0])
        return ""

    def put_item(call: Call) -> str:
        at(call).set_item(*call.arguments)
        return ""

    macros = {
        ("get{}var",): Definition(lambda call: at(call).get(call.arguments[0]) or "", 1, 1),
        ("set{}var",): Definition(put, 2, 2),
        ("add{}var",): Definition(add, 2, 2),
        ("inc{}var",): Definition(lambda call: at(call).add(call.arguments[0], "1"), 1, 1),
        ("dec{}var",): Definition(lambda call: at(call).add(call.arguments[0], "-1"), 1, 1),
        ("has{}var", "{}varexists"): Definition(
            lambda call: "false" if at(call).get(call.arguments[0]) is None else "true", 1, 1
        ),
        ("delete{}var", "flush{}var"): Definition(drop, 1, 1),
        ("get{}varkey", "get{}varindex"): Definition(lambda call: at(call).item(*call.arguments), 2, 2),
        ("set{}varkey", "set{}varindex"): Definition(put_item, 3, 3),
    }
    return {name.format(prefix): definition for names, definition in macros.items() for name in names}


_EMPTY: Final = Definition(lambda _: "")
_TEMPLATE_NAMES: Final = """
instructStoryStringPrefix instructStoryStringSuffix instructUserPrefix instructInput instructUserSuffix
instructAssistantPrefix instructOutput instructAssistantSuffix instructSeparator instructSystemPrefix
instructSystemSuffix instructFirstAssistantPrefix instructFirstOutputPrefix instructLastAssistantPrefix
instructLastOutputPrefix instructFirstUserPrefix instructFirstInput instructLastUserPrefix instructLastInput
instructStop instructUserFiller instructSystemInstructionPrefix exampleSeparator chatSeparator chatStart
"""

_NAMED: Final[dict[str, Definition]] = {
    "user": Definition(_of_context(lambda context: context.user)),
    "char": Definition(_of_context(lambda context: context.char)),
    "group charIfNotGroup": Definition(_of_context(lambda context: ", ".join(context.group) or context.char)),
    "groupNotMuted": Definition(_of_context(lambda context: ", ".join(context.group_not_muted) or context.char)),
    "notChar": Definition(_of_context(_others)),
    "charDescription description": Definition(_field("description")),
    "charPersonality personality": Definition(_field("personality")),
    "charScenario scenario": Definition(_field("scenario")),
    "persona": Definition(_field("persona")),
    "mesExamples": Definition(_field("examples")),
    "mesExamplesRaw": Definition(_field("examples_raw")),
    "charPrompt": Definition(_field("char_prompt")),
    "charInstruction": Definition(_field("char_instruction")),
    "charDepthPrompt": Definition(_field("char_depth_prompt")),
    "charCreatorNotes creatorNotes": Definition(_field("creator_notes")),
    "charFirstMessage greeting": Definition(_greeting, 0, 1),
    "charVersion version char_version": Definition(_of_context(lambda context: context.version)),
    "lastMessage": Definition(_last_text()),
    "lastUserMessage": Definition(_last_text(is_user=True)),
    "lastCharMessage": Definition(_last_text(is_user=False)),
    "lastMessageId": Definition(_number(_last_id)),
    "firstIncludedMessageId": Definition(_number(lambda context: context.first_included)),
    "lastSwipeId": Definition(_of_last(lambda line: line.swipes)),
    "currentSwipeId": Definition(_of_last(lambda line: line.swipe)),
    "allChatRange": Definition(_of_context(lambda context: f"0-{len(context.lines) - 1}" if context.lines else "")),
    "lastGenerationType": Definition(_of_context(lambda context: context.generation_type)),
    "model": Definition(_of_context(lambda context: context.model)),
    "maxPrompt maxPromptTokens": Definition(_number(lambda context: context.max_prompt)),
    "maxContext maxContextTokens": Definition(_number(lambda context: context.max_context)),
    "maxResponse maxResponseTokens": Definition(_number(lambda context: context.max_response)),
    "systemPrompt": Definition(_field("system_prompt")),
    "defaultSystemPrompt instructSystem instructSystemPrompt": Definition(_field("default_system_prompt")),
    "time": Definition(_time_at, 0, 1),
    "date": Definition(_time("LL")),
    "weekday": Definition(_time("dddd")),
    "isotime": Definition(_time("HH:mm")),
    "isodate": Definition(_time("YYYY-MM-DD")),
    "datetimeformat": Definition(lambda call: moment_format(call.world.now, call.arguments[0]), 1, 1),
    "timeDiff": Definition(_difference, 2, 2),
    "idleDuration idle_duration": Definition(_idle),
    "newline": Definition(_blanks("\n"), 0, 1),
    "space": Definition(_blanks(" "), 0, 1),
    "noop": _EMPTY,
    "trim": Definition(lambda call: call.arguments[0] if call.arguments else TRIM, 0, 1),
    "else": _EMPTY,
    "reverse": Definition(lambda call: call.arguments[0][::-1], 1, 1),
    "// comment": Definition(lambda _: "", 0, MANY),
    "random": Definition(_random, 1, MANY),
    "pick": Definition(_pick, 1, MANY),
    "roll": Definition(lambda call: roll(call.arguments[0], call.world.random), 1, 1),
    "outlet": Definition(_outlet, 1, 1),
    "authorsNote": Definition(_field("authors_note")),
    "charAuthorsNote": Definition(_field("char_authors_note")),
    "defaultAuthorsNote": Definition(_field("default_authors_note")),
    "summary": Definition(_field("summary")),
    "banned": Definition(lambda _: "", 1, 1),
    **dict.fromkeys(_TEMPLATE_NAMES.split(), _EMPTY),
}

LIBRARY: Final[dict[str, Definition]] = {
    **{name.lower(): definition for names, definition in _NAMED.items() for name in names.split()},
    **_variable_macros("", lambda world: world.local),
    **_variable_macros("global", lambda world: world.everywhere),
}
