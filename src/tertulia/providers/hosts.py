"""Hosts that are known by name: what a `[[providers]]` entry need not say.

Adding one that speaks a dialect we have is one entry here.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

Kind = Literal["openai", "anthropic", "gemini", "ollama", "inference", "local", "scripted"]


class Host(msgspec.Struct, frozen=True):
    """A known host: its dialect and address, the environment variable of its key, its id in the price list."""

    kind: Kind
    base_url: str
    key_env: str | None = None
    prices: str | None = None


HOSTS: Final[Mapping[str, Host]] = {
    "openai": Host("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "openai"),
    "anthropic": Host("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", "anthropic"),
    "gemini": Host("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY", "google"),
    "groq": Host("openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq"),
    "deepseek": Host("openai", "https://api.deepseek.com", "DEEPSEEK_API_KEY", "deepseek"),
    "openrouter": Host("openai", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter"),
    "together": Host("openai", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "together"),
    "fireworks": Host("openai", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "fireworks"),
    "ollama": Host("ollama", "http://localhost:11434"),
    "inference": Host("inference", "http://localhost:8001", "INFERENCE_SERVICE_API_KEY"),
}

KEYLESS: Final = frozenset({"ollama", "inference", "local", "scripted"})
"""Kinds that may answer without a key; so may any host whose `base_url` the operator gave himself."""

SERVICES: Final[frozenset[Kind]] = frozenset({"ollama", "inference"})
"""Kinds that are a service of their own: what is known of the host of that name holds for every entry of the kind."""
