"""What a model costs, in nano-credits for a million tokens."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, final

import msgspec

from tertulia.kernel.money import NANO, parse_credits, round_half_up
from tertulia.turn.usage import Usage

_MILLION: Final = 1_000_000
_MOST: Final = NANO * NANO  # a billion credits: only a provider that miscounts gets there
_KEPT: Final = 10_000


class Rate(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nano-credits for a million tokens; `tiers` are `(above this many prompt tokens, rate)`, ascending."""

    base: int
    tiers: tuple[tuple[int, int], ...] = ()

    def at(self, prompt: int) -> int:
        """Give the rate that holds for a prompt of this length."""
        rate = self.base
        for above, tiered in self.tiers:
            if prompt > above:
                rate = tiered
        return rate


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model's price. Kinds of tokens without a rate of their own cost what the wider kind costs."""

    prompt: Rate
    completion: Rate
    cached: Rate | None = None
    cache_write: Rate | None = None
    reasoning: Rate | None = None
    request: int = 0  # nano-credits a call
    source: str = ""

    def cost(self, usage: Usage) -> int:
        """Price a usage in nano-credits, rounded half up once; what a database could not hold is cut off."""
        at = usage.prompt
        cached = min(usage.cached, usage.prompt)
        written = min(usage.cache_write, usage.prompt - cached)
        reasoned = min(usage.reasoning, usage.completion)
        total = (usage.prompt - cached - written) * self.prompt.at(at)
        total += cached * (self.cached or self.prompt).at(at)
        total += written * (self.cache_write or self.prompt).at(at)
        total += (usage.completion - reasoned) * self.completion.at(at)
        total += reasoned * (self.reasoning or self.completion).at(at)
        return min((total + _MILLION // 2) // _MILLION + self.request, _MOST)


FREE: Final = Price(Rate(0), Rate(0), source="local")


class PriceSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price of `[prices."provider/model"]`: decimal strings of credits for 1,000 tokens; `request` for a call."""

    prompt: str = "0"
    completion: str = "0"
    cached: str | None = None
    cache_write: str | None = None
    reasoning: str | None = None
    request: str = "0"


def price_of_setting(setting: PriceSetting) -> Price:
    """Read a configured price. Raises `ValueError` naming what is not a decimal number of at least 0."""
    return Price(
        prompt=_configured(setting.prompt),
        completion=_configured(setting.completion),
        cached=_configured(setting.cached) if setting.cached is not None else None,
        cache_write=_configured(setting.cache_write) if setting.cache_write is not None else None,
        reasoning=_configured(setting.reasoning) if setting.reasoning is not None else None,
        request=parse_credits(setting.request),
        source="configured",
    )


def _configured(text: str) -> Rate:
    return Rate(parse_credits(text) * 1000)


@final
class Prices:
    """Knows the price of every model: the configured one, else the built-in list's, else none.

    `hosts` tells which providers are hosts that the built-in list knows, by the list's own id for them. The list
    takes a quarter of a second to import, so `load` does it on a thread before the first call needs it.
    """

    def __init__(
        self,
        *,
        configured: Mapping[str, Price],
        hosts: Mapping[str, str],
        free: frozenset[str] = frozenset(),
        per_usd: Decimal = Decimal(1),
    ) -> None:
        self._known: dict[tuple[str, str], Price | None] = {}
        self._configured = configured
        self._hosts = hosts
        self._free = free
        self._per_usd = per_usd

    def load(self) -> None:
        """Import the built-in list, where a provider that it knows is configured."""
        if self._hosts:
            threading.Thread(target=_list_module, name="price-list", daemon=True).start()

    def of(self, provider: str, model: str) -> Price | None:
        """Give the price of a model; None where nobody has said one."""
        key = (provider, model)
        if key not in self._known:
            if len(self._known) >= _KEPT:  # callers may name any model, and are not to fill the memory with them
                self._known.clear()
            self._known[key] = self._find(provider, model)
        return self._known[key]

    def _find(self, provider: str, model: str) -> Price | None:
        configured = self._configured.get(f"{provider}/{model}")
        if configured is not None:
            return configured
        if provider in self._free:
            return FREE
        host = self._hosts.get(provider)
        return _listed(host, model, self._per_usd) if host else None


def _list_module() -> Any:
    from genai_prices import data_snapshot  # noqa: PLC0415 - a quarter of a second, so only when it is wanted

    return data_snapshot


def _listed(host: str, model: str, per_usd: Decimal) -> Price | None:
    try:
        _, found = _list_module().get_snapshot().find_provider_model(model, None, host, None)
    except LookupError:
        return None
    prices = found.get_prices(datetime.now(UTC))
    prompt, completion = _rate(prices.input_mtok, per_usd), _rate(prices.output_mtok, per_usd)
    if prompt is None or completion is None:
        return None
    return Price(
        prompt=prompt,
        completion=completion,
        cached=_rate(prices.cache_read_mtok, per_usd),
        cache_write=_rate(prices.cache_write_mtok, per_usd),
        request=round_half_up((prices.requests_kcount or 0) * per_usd * NANO / 1000),
        source=f"list:{host}",
    )


def _rate(listed: Any, per_usd: Decimal) -> Rate | None:
    if listed is None:
        return None
    if isinstance(listed, Decimal):
        return Rate(round_half_up(listed * per_usd * NANO))
    tiers = tuple((tier.start, round_half_up(tier.price * per_usd * NANO)) for tier in listed.tiers)
    return Rate(round_half_up(listed.base * per_usd * NANO), tiers)
