"""What an entry of `[[providers]]` comes to, with its host and the environment."""

import pytest

from tertulia.app.providers import plan_all
from tertulia.kernel.errors import Invalid
from tertulia.kernel.secret import Secret
from tertulia.providers.settings import ProviderSettings, plan_provider

ENVIRONMENT = {"OPENAI_API_KEY": "sk-of-the-environment", "INFERENCE_SERVICE_API_KEY": "of-the-service"}
KEY = (Secret("sk-of-the-environment"),)


@pytest.mark.parametrize("name", ["lan", "openai", "groq"])
def test_an_own_address_is_not_sent_the_key_of_the_environment(name):
    plan = plan_provider(ProviderSettings(name, "openai", "http://10.0.0.5/v1"), ENVIRONMENT)
    assert plan.keys == ()
    assert not plan.needs_key
    assert plan.prices is None


def test_a_known_host_takes_its_own_key():
    assert plan_provider(ProviderSettings("openai"), ENVIRONMENT).keys == KEY
    assert plan_provider(ProviderSettings("groq"), ENVIRONMENT).keys == ()
    assert plan_provider(ProviderSettings("groq"), ENVIRONMENT).needs_key


def test_the_inference_service_takes_its_key_to_its_own_address():
    plan = plan_provider(ProviderSettings("gpu", "inference", "http://10.0.0.6:8001"), ENVIRONMENT)
    assert plan.keys == (Secret("of-the-service"),)
    assert plan.timeout_s == 30.0


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
def test_a_wire_alone_is_no_address(kind):
    with pytest.raises(Invalid, match=r"providers\.mine: say its `base_url`"):
        plan_provider(ProviderSettings("mine", kind), ENVIRONMENT)


def test_another_kind_under_a_known_name_is_not_that_host():
    with pytest.raises(Invalid, match="say its `base_url`"):
        plan_provider(ProviderSettings("openai", "anthropic"), ENVIRONMENT)


def test_a_kind_that_is_a_service_has_an_address():
    assert plan_provider(ProviderSettings("mine", "ollama"), {}).base_url == "http://localhost:11434"


def test_a_name_that_nobody_knows_needs_a_kind():
    with pytest.raises(Invalid, match="say its `kind`"):
        plan_provider(ProviderSettings("mine"), {})


@pytest.mark.parametrize(
    "entry",
    [
        ProviderSettings("tiny", "local"),
        ProviderSettings("local", "openai", "http://10.0.0.5/v1"),
        ProviderSettings("local", "scripted"),
    ],
)
def test_the_embedded_models_name_and_kind_go_together(entry):
    with pytest.raises(Invalid, match=rf"providers\.{entry.name}: the name `local` and the kind `local`"):
        plan_all((entry,), {})


def test_two_of_one_name_are_refused():
    with pytest.raises(Invalid, match="Two providers are called 'openai'"):
        plan_all((ProviderSettings("openai"), ProviderSettings("openai", base_url="http://10.0.0.5")), {})


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Team", "a\r\nX-Evil: 1"), ("X-Team", "a\n"), ("X-Team", "a\x00"), ("X-Team\r\nX-Evil", "1"), ("", "1")],
)
def test_a_header_that_would_break_the_request_is_refused_at_start(name, value):
    with pytest.raises(Invalid, match=r"providers\.openai: the header") as refused:
        plan_provider(ProviderSettings("openai", headers={name: Secret(value)}), {})
    assert "Evil: 1" not in str(refused.value)


def test_the_value_of_a_header_does_not_print_itself():
    plan = plan_provider(ProviderSettings("openai", headers={"Authorization": Secret("Bearer hidden\tword é")}), {})
    assert "hidden" not in repr(plan)
