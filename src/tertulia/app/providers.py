"""From settings to providers: each by its kind."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from tertulia.kernel.errors import Invalid
from tertulia.net.transport import Transport
from tertulia.providers.dialects.anthropic.dialect import Anthropic
from tertulia.providers.dialects.gemini.dialect import Gemini
from tertulia.providers.dialects.ollama.dialect import Ollama
from tertulia.providers.dialects.openai.dialect import OpenAI
from tertulia.providers.hosts import HOSTS, Kind
from tertulia.providers.http import HttpProvider
from tertulia.providers.local.gguf import Gguf, Missing, find
from tertulia.providers.local.process import Endpoint, LocalModel
from tertulia.providers.local.provider import LocalProvider
from tertulia.providers.local.settings import LocalModelSettings
from tertulia.providers.port import Dialect, Provider
from tertulia.providers.profiles import profile_of
from tertulia.providers.scripted.provider import ScriptedProvider
from tertulia.providers.settings import ProviderPlan, ProviderSettings, plan_provider, providers_of_environment

LOCAL = "local"
_DIALECTS: Mapping[Kind, Callable[[], Dialect]] = {
    "anthropic": Anthropic,
    "gemini": Gemini,
    "inference": lambda: OpenAI(prefix="/inference"),
    "ollama": Ollama,
    "openai": OpenAI,
}
_VENDORS: Mapping[Kind, str] = {"anthropic": "anthropic", "gemini": "gemini"}


class Made(msgspec.Struct, frozen=True):
    """The providers, in the order of the configuration, and the embedded model where there is one."""

    plans: Mapping[str, ProviderPlan]
    providers: Mapping[str, Provider]
    local: LocalModel | None
    local_missing: str


def plan_all(entries: tuple[ProviderSettings, ...], environment: Mapping[str, str] = os.environ) -> list[ProviderPlan]:
    """Complete all entries, and add the hosts that the environment switches on.

    Raises `Invalid` naming the entry.
    """
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f"Two providers are called {name!r}.", path=f"providers.{name}")
    named = frozenset(names)
    every = [*entries, *providers_of_environment(named, environment)]
    return [plan_provider(entry, environment) for entry in every]


def make_providers(
    plans: list[ProviderPlan], *, transport: Transport, local: LocalModelSettings, home: Path, idle_s: float
) -> Made:
    """Make every provider; the embedded model joins them where it is installed and not switched off."""
    found = _local_model(local, home)
    model = LocalModel(found) if isinstance(found, Gguf) else None
    providers: dict[str, Provider] = {}
    for plan in plans:
        if plan.kind != "local":
            providers[plan.name] = _make(plan, transport, idle_s)
    by_name = {plan.name: plan for plan in plans if plan.kind != "local"}
    if model is not None:
        providers[LOCAL] = LocalProvider(model, lambda endpoint: _at(endpoint, transport, idle_s))
        by_name[LOCAL] = _local_plan(model)
    return Made(by_name, providers, model, found.message if isinstance(found, Missing) else "")


def _local_model(settings: LocalModelSettings, home: Path) -> Gguf | Missing:
    if settings.enabled is False:
        return Missing("model", "The embedded model is switched off (`[local_model] enabled`).")
    return find(home, Path(settings.path) if settings.path else None)


def _make(plan: ProviderPlan, transport: Transport, idle_s: float) -> Provider:
    if plan.kind == "scripted":
        return ScriptedProvider(plan.name)
    base_url = plan.base_url.removesuffix("/inference") if plan.kind == "inference" else plan.base_url
    return HttpProvider(
        plan.name,
        base_url=base_url,
        dialect=_DIALECTS[plan.kind](),
        transport=transport,
        profile=partial(profile_of, _host_of(plan)),
        keys=plan.keys,
        timeout_s=plan.timeout_s if plan.timeout_s is not None else idle_s,
        extra_headers={name: value.reveal() for name, value in plan.headers.items()},
    )


def _host_of(plan: ProviderPlan) -> str:
    """Give the known host whose ways the provider has; a vendor's own wire tells as much as its name.

    That holds behind an address of the operator's own too: what stands there passes the vendor's models on.
    """
    known = HOSTS.get(plan.name)
    return plan.name if known is not None and known.kind == plan.kind else _VENDORS.get(plan.kind, "")


def _at(endpoint: Endpoint, transport: Transport, idle_s: float) -> Provider:
    return HttpProvider(
        LOCAL,
        base_url=endpoint.base_url,
        dialect=OpenAI(),
        transport=transport,
        timeout_s=idle_s,
        extra_headers=endpoint.headers(),
    )


def _local_plan(model: LocalModel) -> ProviderPlan:
    return ProviderPlan(
        name=LOCAL,
        kind="local",
        base_url="",
        keys=(),
        needs_key=False,
        models=(model.name,),
        strict=True,
        timeout_s=None,
        max_concurrent=model.engine.slots,
        headers={},
        prices=None,
    )
