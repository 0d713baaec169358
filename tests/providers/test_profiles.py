"""What the known hosts and their models can take, as it shows in the requests that are written."""

from typing import Any

import msgspec
import pytest

from tertulia.app.providers import make_providers, plan_all
from tertulia.providers.dialects.anthropic.dialect import Anthropic
from tertulia.providers.dialects.gemini.dialect import Gemini
from tertulia.providers.dialects.openai.dialect import OpenAI
from tertulia.providers.local.settings import LocalModelSettings
from tertulia.providers.port import Encoded
from tertulia.providers.profiles import profile_of
from tertulia.providers.settings import ProviderSettings
from tertulia.turn.content import Message
from tertulia.turn.request import Request

PARAMETERS = {"max_tokens": 9000, "temperature": 0.5, "top_p": 0.9, "logprobs": True, "reasoning_effort": "low"}
MESSAGES = (Message("system", "Be brief."), Message("user", "hi", name="Ana"))
DIALECTS = {"anthropic": Anthropic(), "gemini": Gemini()}


def request(**more: Any) -> Request:
    return Request(MESSAGES, {**PARAMETERS, **more}, stream=True)


def written(host: str, model: str, **more: Any) -> tuple[dict[str, Any], Encoded]:
    encoded = DIALECTS.get(host, OpenAI()).encode(request(**more), model, profile_of(host, model))
    return msgspec.json.decode(encoded.body), encoded


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.4-mini", "gpt-6", "ft:o3:x"])
def test_reasoning_models_of_openai(model):
    body, encoded = written("openai", model, presence_penalty=1, logit_bias={"1": 1})
    assert body["max_completion_tokens"] == 9000
    assert body["reasoning_effort"] == "low"
    assert body["messages"][0]["role"] == "developer"
    assert body.keys().isdisjoint({"max_tokens", "temperature", "top_p", "logprobs", "presence_penalty", "logit_bias"})
    assert set(encoded.dropped) == {"temperature", "top_p", "logprobs", "presence_penalty", "logit_bias"}


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "omni", "o"])
def test_other_models_of_openai_take_everything(model):
    body, encoded = written("openai", model)
    assert body["temperature"] == 0.5
    assert body["messages"][0]["role"] == "system"
    assert encoded.dropped == ()


def test_a_host_that_nobody_knows_takes_everything():
    body, encoded = written("", "gpt-5")
    assert body["temperature"] == 0.5
    assert body["messages"][1]["name"] == "Ana"
    assert encoded.dropped == ()


def test_groq_refuses_names_and_probabilities():
    body, encoded = written("groq", "llama-3.3-70b", n=2, top_logprobs=1)
    assert body["messages"][1] == {"role": "user", "content": "Ana: hi"}
    assert set(encoded.dropped) == {"logprobs", "n", "top_logprobs"}


@pytest.mark.parametrize(
    "model", ["claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-5", "claude-haiku-5-5-20261001"]
)
def test_the_newest_claudes_refuse_sampling_and_think_by_effort(model):
    body, encoded = written("anthropic", model)
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "low"}
    assert body.keys().isdisjoint({"temperature", "top_p"})
    assert {"temperature", "top_p"} <= set(encoded.dropped)


@pytest.mark.parametrize("model", ["claude-3-7-sonnet-20250219", "claude-opus-4-1", "claude-sonnet-4-5-20250929"])
def test_older_claudes_think_by_budget(model):
    body, _ = written("anthropic", model)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}


def test_claudes_that_do_not_think_are_not_asked_to():
    body, encoded = written("anthropic", "claude-3-5-haiku-20241022")
    assert "thinking" not in body
    assert body["temperature"] == 0.5
    assert "reasoning_effort" in encoded.dropped


def test_the_cap_that_is_sent_where_none_is_asked_for():
    caps = [
        profile_of("anthropic", f"claude-{model}").max_output for model in ("3-opus-latest", "3-5-sonnet", "opus-4")
    ]
    assert caps == [4096, 8192, 32_000]


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-2.5-flash", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("models/gemini-2.5-pro", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-3-pro", {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-2.0-flash", None),
    ],
)
def test_geminis_think_by_generation(model, thinking):
    body, encoded = written("gemini", model)
    assert body["generationConfig"].get("thinkingConfig") == thinking
    assert ("reasoning_effort" in encoded.dropped) == (thinking is None)


@pytest.mark.parametrize(
    ("entry", "model", "dropped"),
    [
        (ProviderSettings("openai"), "gpt-5", {"temperature", "top_p", "logprobs"}),
        (ProviderSettings("openai", base_url="http://10.0.0.5/v1"), "gpt-5", {"temperature", "top_p", "logprobs"}),
        (ProviderSettings("lan", "openai", "http://10.0.0.5/v1"), "gpt-5", set[str]()),
        (
            ProviderSettings("mine", "anthropic", "http://10.0.0.5"),
            "claude-sonnet-5",
            {"temperature", "top_p", "logprobs"},
        ),
    ],
)
def test_providers_are_made_with_the_profile_of_their_host(entry, model, dropped, tmp_path):
    made = make_providers(
        plan_all((entry,), {}),
        transport=None,  # pyright: ignore[reportArgumentType] - nothing is sent
        local=LocalModelSettings(enabled=False),
        home=tmp_path,
        idle_s=1.0,
    )
    assert set(made.providers[entry.name].dropped(request(), model)) == dropped
