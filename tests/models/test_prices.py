"""What calls cost: whole nano-credits, rounded half up once, never below zero, unknown never free (promise 19)."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.models.prices import FREE, Price, Prices, PriceSetting, Rate, price_of_setting
from tertulia.turn.usage import Usage

TOKENS = st.integers(0, 2_000_000)
RATES = st.builds(
    Rate,
    st.integers(0, 10**14),
    st.lists(st.tuples(TOKENS, st.integers(0, 10**14)), max_size=3, unique_by=lambda tier: tier[0]).map(
        lambda tiers: tuple(sorted(tiers))
    ),
)
PRICES = st.builds(Price, RATES, RATES, st.none() | RATES, st.none() | RATES, st.none() | RATES, st.integers(0, 10**9))
USAGES = st.builds(Usage, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)


def by_the_book(price: Price, usage: Usage) -> int:
    """The same with exact decimals, each kind of token on a line of its own."""
    cached = min(usage.cached, usage.prompt)
    written = min(usage.cache_write, usage.prompt - cached)
    reasoned = min(usage.reasoning, usage.completion)
    lines = [
        (usage.prompt - cached - written, price.prompt),
        (cached, price.cached or price.prompt),
        (written, price.cache_write or price.prompt),
        (usage.completion - reasoned, price.completion),
        (reasoned, price.reasoning or price.completion),
    ]
    total = sum((Decimal(count) * rate.at(usage.prompt) for count, rate in lines), Decimal(0))
    return int((total / 1_000_000).to_integral_value(ROUND_HALF_UP)) + price.request


@pytest.mark.promise(19)
@given(PRICES, USAGES)
def test_the_cost_is_exact_and_rounded_once(price: Price, usage: Usage) -> None:
    cost = price.cost(usage)
    assert cost >= 0
    assert cost == min(by_the_book(price, usage), 10**18)


@given(PRICES, USAGES, st.integers(1, 1000))
def test_more_tokens_of_an_answer_never_cost_less(price: Price, usage: Usage, more: int) -> None:
    longer = Usage(usage.prompt, usage.completion + more, usage.cached, usage.cache_write, 0)
    assert price.cost(longer) >= price.cost(Usage(usage.prompt, usage.completion, usage.cached, usage.cache_write, 0))


@pytest.mark.parametrize(
    ("rate", "tokens", "cost"),
    [(1, 499_999, 0), (1, 500_000, 1), (1, 1_499_999, 1), (1, 1_500_000, 2), (3, 500_000, 2), (10**9, 1, 1000)],
)
def test_halves_go_up(rate: int, tokens: int, cost: int) -> None:
    assert Price(Rate(rate), Rate(0)).cost(Usage(tokens, 0)) == cost


def test_kinds_are_summed_before_they_are_rounded() -> None:
    price = Price(Rate(1), Rate(1))
    assert price.cost(Usage(400_000, 400_000)) == 1  # 0.4 and 0.4: rounded apart they would be nothing


def test_tiers_hold_above_their_number_for_all_tokens() -> None:
    price = Price(Rate(10, ((200_000, 20), (500_000, 5))), Rate(100, ((200_000, 150),)))
    million = 1_000_000
    assert price.cost(Usage(200_000, million)) == (200_000 * 10 + million * 100) // million
    assert price.cost(Usage(200_001, million)) == round((200_001 * 20 + million * 150) / million)
    assert price.cost(Usage(500_001, 0)) == round(500_001 * 5 / million)


def test_more_is_never_cached_than_there_is() -> None:
    price = Price(Rate(100), Rate(0), cached=Rate(1), cache_write=Rate(1000))
    million = 1_000_000
    assert price.cost(Usage(million, 0, cached=5 * million, cache_write=5 * million)) == 1


@pytest.mark.promise(19)
def test_a_provider_that_miscounts_costs_no_more_than_can_be_stored() -> None:
    dear = price_of_setting(PriceSetting(prompt="1000000000", completion="1000000000"))
    assert dear.cost(Usage(2**31 - 1, 2**31 - 1)) == 10**18 < 2**63


def test_settings_are_credits_for_a_thousand_tokens() -> None:
    price = price_of_setting(PriceSetting(prompt="0.5", completion="1.5", cached="0.000000001", request="0.25"))
    assert price.cost(Usage(1000, 0)) == 500_000_000 + 250_000_000
    assert price.cost(Usage(0, 1000)) == 1_500_000_000 + 250_000_000
    assert price.cost(Usage(1000, 0, cached=1000)) == 1 + 250_000_000  # the smallest price there is does not vanish
    assert price.cost(Usage(1000, 0, cache_write=1000)) == price.cost(Usage(1000, 0))


@pytest.mark.promise(19)
@pytest.mark.parametrize("text", ["-1", "NaN", "Infinity", "-0.1", "x", "", "1e30", "0.0000000001", "1,5", "0x10"])
@pytest.mark.parametrize("name", ["prompt", "completion", "cached", "cache_write", "reasoning", "request"])
def test_a_price_that_is_none_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"must|decimal"):
        price_of_setting(PriceSetting(**{name: text}))


@given(st.text(max_size=20))
def test_any_text_is_a_price_of_at_least_nothing_or_refused(text: str) -> None:
    try:
        price = price_of_setting(PriceSetting(prompt=text))
    except ValueError:
        return
    assert price.prompt.base == Decimal(text) * 10**12 >= 0


def test_who_knows_a_price() -> None:
    own = Price(Rate(7), Rate(7))
    prices = Prices(configured={"acme/m": own, "local/m": own}, hosts={"openai": "openai"}, free=frozenset({"local"}))
    assert prices.of("acme", "m") is own
    assert prices.of("acme", "other") is None  # unknown is not free
    assert prices.of("local", "other") is FREE
    assert prices.of("local", "m") is own
    assert prices.of("openai", "no-such-model-was-ever-made") is None


def test_the_built_in_list_agrees_with_itself() -> None:
    from genai_prices import Usage as Listed  # noqa: PLC0415
    from genai_prices import calc_price  # noqa: PLC0415

    prices = Prices(configured={}, hosts={"openai": "openai", "anthropic": "anthropic", "gemini": "google"})
    for provider, host, model in (
        ("openai", "openai", "gpt-4o-mini"),
        ("anthropic", "anthropic", "claude-sonnet-4-5"),
        ("gemini", "google", "gemini-2.5-pro"),
    ):
        price = prices.of(provider, model)
        assert price is not None, model
        for prompt, cached, completion in ((1000, 0, 1000), (150_000, 100_000, 1), (300_000, 250_000, 5000)):
            listed = calc_price(
                Listed(input_tokens=prompt, cache_read_tokens=cached, output_tokens=completion), model, provider_id=host
            )
            expected = (listed.total_price * 10**9).to_integral_value(ROUND_HALF_UP)
            assert price.cost(Usage(prompt, completion, cached)) == expected


@pytest.mark.promise(38)
def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    prices = Prices(configured={}, hosts={}, free=frozenset({"local"}))
    for n in range(25_000):
        prices.of("acme", f"made-up-{n}")
    assert len(prices._known) <= 10_000
