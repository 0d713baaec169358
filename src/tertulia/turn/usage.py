"""What a call used."""

from collections.abc import Iterable

import msgspec

from tertulia.turn.content import ImagePart, Message


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one call.

    `prompt` includes `cached` and `cache_write`; `completion` includes `reasoning`. `estimated` is set where we
    counted because the provider did not say. `cost_usd` is what a provider itself says that it charged.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False
    cost_usd: str | None = None

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.prompt + self.completion


IMAGE_TOKENS = 1600


def estimate_tokens(characters: int) -> int:
    """Estimate the tokens of a text from its length: four characters a token (HTTP contract, OpenAI face)."""
    return characters // 4


def estimate_prompt(messages: Iterable[Message]) -> int:
    """Estimate the tokens of a prompt: its text, and a fixed sum for each image."""
    characters = images = 0
    for message in messages:
        if isinstance(message.content, str):
            characters += len(message.content)
            continue
        for part in message.content or ():
            if isinstance(part, ImagePart):
                images += 1
            else:
                characters += len(getattr(part, "text", ""))
    return estimate_tokens(characters) + images * IMAGE_TOKENS
