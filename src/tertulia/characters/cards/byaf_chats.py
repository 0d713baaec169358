"""The scenarios of a BYAF and the chats that they hold."""

from typing import Any

import msgspec

from tertulia.characters.cards.card import OpeningChat, OpeningMessage
from tertulia.characters.cards.tree import Object


class Scenario(msgspec.Struct, frozen=True):
    """A scenario, its macros written as a card's; `messages` as in the file."""

    title: str = ""
    narrative: str = ""
    instructions: str = ""
    first_messages: list[str] = []
    examples: list[str] = []
    background: str = ""
    messages: list[dict[str, Any]] = []


def opening_chat(scenario: Scenario) -> OpeningChat:
    """Return the chat of a scenario: its first message, then its messages."""
    greeting = [OpeningMessage("assistant", (text,)) for text in scenario.first_messages[:1]]
    return OpeningChat(scenario.title, (*greeting, *map(_message, _in_turn(scenario.messages))), scenario.background)


def _in_turn(messages: list[Object]) -> list[Object]:
    """As many of the user's as of the character's are taken in turn, whatever order the file has them in."""
    users = [message for message in messages if message.get("type") == "human"]
    others = [message for message in messages if message.get("type") != "human"]
    if len(users) != len(others):
        return messages
    return [message for pair in zip(users, others, strict=True) for message in pair]


def _message(source: Object) -> OpeningMessage:
    if source.get("type") == "human":
        return OpeningMessage("user", (source["text"],), created_at=_time(source))
    outputs: list[Object] = source["outputs"] or [source]
    newest = max(range(len(outputs)), key=lambda index: _time(outputs[index], "activeTimestamp"))
    return OpeningMessage(
        "assistant", tuple(output["text"] for output in outputs), newest, created_at=_time(outputs[newest])
    )


def _time(source: Object, key: str = "createdAt") -> str:
    value = source.get(key)
    return value if isinstance(value, str) else ""
