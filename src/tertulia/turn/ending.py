"""All that is known of a generation when it ends: what the rooms below write their rows from."""

from typing import Any

import msgspec

from tertulia.turn.events import Fault, Finish, Outcome
from tertulia.turn.fold import Choice
from tertulia.turn.usage import Usage


class Cancel(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who stopped it, and why; `by` is a user's id in text form."""

    by: str
    role: str
    reason: str | None = None


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one generation. Times are microseconds UTC, ids bytes; `choices` is the fold of its log."""

    generation_id: bytes
    user_id: bytes
    key_id: bytes | None
    conversation_id: bytes | None
    message_ids: tuple[bytes, ...]
    face: str
    model: str
    provider: str
    provider_model: str
    outcome: Outcome
    choices: tuple[Choice, ...]
    finishes: tuple[Finish, ...]
    usage: Usage
    fault: Fault | None = None
    cancel: Cancel | None = None
    own_key: bool = False
    created_at: int
    started_at: int | None = None
    first_token_at: int | None = None
    ended_at: int
    attempts: tuple[dict[str, Any], ...] = ()

    @property
    def partial(self) -> bool:
        """Whether something of an answer had come."""
        return any(not choice.empty for choice in self.choices)

    @property
    def first_token_ms(self) -> int | None:
        """From the beginning of the call to its first token."""
        if self.first_token_at is None or self.started_at is None:
            return None
        return (self.first_token_at - self.started_at) // 1000

    @property
    def finish(self) -> str:
        """The first choice's reason as it is stored: a finish reason, or the outcome where it did not finish."""
        if self.outcome != "completed":
            return "error" if self.outcome == "failed" else self.outcome
        return self.finishes[0].reason if self.finishes else "stop"
