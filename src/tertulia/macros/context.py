"""What macros speak of: the cast, the card, the chat, the settings of the turn."""

from datetime import datetime

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One message of the chat. `swipe` and `swipes` count the versions of an answer, from 1."""

    text: str
    is_user: bool
    swipe: int = 1
    swipes: int = 1
    at: datetime | None = None


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The values behind the macros; texts of card and persona as written, they are expanded once when first asked.

    `char` is the nickname where a card has one. `original` is what an overriding prompt replaces, None elsewhere.
    `first_included` is the index of the oldest message in the prompt; `chat_key` and `reroll` steady `{{pick}}`.
    """

    user: str = "User"
    char: str = ""
    group: tuple[str, ...] = ()
    group_not_muted: tuple[str, ...] = ()
    description: str = ""
    personality: str = ""
    scenario: str = ""
    persona: str = ""
    examples: str = ""
    examples_raw: str = ""
    char_prompt: str = ""
    char_instruction: str = ""
    char_depth_prompt: str = ""
    creator_notes: str = ""
    greetings: tuple[str, ...] = ()
    version: str = ""
    lines: tuple[Line, ...] = ()
    first_included: int | None = None
    generation_type: str = ""
    model: str = ""
    max_prompt: int | None = None
    max_context: int | None = None
    max_response: int | None = None
    system_prompt: str = ""
    default_system_prompt: str = ""
    outlets: dict[str, tuple[str, ...]] = {}
    authors_note: str = ""
    char_authors_note: str = ""
    default_authors_note: str = ""
    summary: str = ""
    chat_key: str = ""
    reroll: str = ""
