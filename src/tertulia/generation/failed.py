"""A generation that failed before its caller could be told anything but an error."""

from typing import Any

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.turn.events import Ended, Fault, Started


class GenerationFailed(TertuliaError):
    """What a blocking caller gets for a failed generation; `details` name what is stored of it."""

    kind = Kind.UPSTREAM

    def __init__(self, started: Started, ended: Ended) -> None:
        why = ended.fault or Fault("internal", "The answer failed; the log has the reason.")
        named = {
            "generationId": started.generation_id,
            "conversationId": started.conversation_id,
            "userMessageId": started.user_message_id,
            "messageId": started.message_id,
            "partial": ended.partial or None,
        }
        details: dict[str, Any] = {**(why.details or {}), **{k: v for k, v in named.items() if v is not None}}
        retry_after = details.pop("retryAfter", None)
        super().__init__(why.message, details=details, retry_after=retry_after)
        self.code = why.code
        self.called = ended.provider is not None
        """Whether a provider was asked: then a client that retries by itself may pay twice."""
