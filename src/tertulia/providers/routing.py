"""From a name to the calls that may answer it; and which models there are."""

import asyncio
from collections.abc import Mapping
from typing import Final, final

import msgspec
import structlog

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.kernel.secret import Secret
from tertulia.models.names import Catalogue, ModelName, resolve
from tertulia.providers.port import Listed, Provider, Target
from tertulia.providers.settings import ProviderPlan
from tertulia.turn.request import Request

_log = structlog.get_logger("tertulia.providers")
_FRESH_S: Final = 300.0
_ASK_S: Final = 10.0


class ProviderNotConfigured(TertuliaError):
    """The host needs a key, and neither the configuration nor the caller has one."""

    kind = Kind.MALFORMED
    code = "provider_not_configured"


class Naming(msgspec.Struct, frozen=True):
    """The settings that names are resolved by: aliases and defaults."""

    aliases: Mapping[str, tuple[str, ...]]
    default_model: str
    default_provider: str
    enforce_default: bool


@final
class Routing:
    """The configured providers, in their order."""

    def __init__(self, *, plans: Mapping[str, ProviderPlan], providers: Mapping[str, Provider], naming: Naming) -> None:
        self._plans = plans
        self._providers = providers
        self._naming = naming
        self._listed: dict[str, tuple[Listed, ...]] = {
            name: tuple(Listed(model) for model in plan.models) for name, plan in plans.items()
        }
        self._asked_at: dict[str, float] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._catalogue = self._make_catalogue()

    def targets(
        self,
        asked: str | None,
        *,
        api_provider: str | None = None,
        fallbacks: tuple[str, ...] = (),
        own_key: Secret | None = None,
    ) -> tuple[ModelName, tuple[Target, ...]]:
        """Give the model that was meant, and where calls for it go: the first, then its fallbacks.

        Raises `ModelNotFound`, `Invalid`, and `ProviderNotConfigured` where the first has no key.
        """
        names = list(resolve(asked, self._catalogue, api_provider=api_provider))
        for fallback in fallbacks:
            names += [name for name in resolve(fallback, self._catalogue) if name not in names]
        first = names[0]
        if own_key is None and not self._callable(first.provider):
            raise ProviderNotConfigured(
                f"The provider {first.provider!r} has no key. Set `api_keys` for it in tertulia.toml, or send your own "
                "in X-Provider-Key."
            )
        targets = [
            Target(name.provider, name.model, own_key if name.provider == first.provider else None)
            for name in names
            if name is first or self._callable(name.provider)
        ]
        return first, tuple(targets)

    def dropped(self, target: Target, request: Request) -> tuple[str, ...]:
        """Name the parameters of the request that its first provider would drop."""
        return self._providers[target.provider].dropped(request, target.model)

    def default(self) -> str:
        """Give the default model's full name; empty where there is none."""
        return self._naming.default_model

    @property
    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        """The aliases, each with its chain."""
        return self._naming.aliases

    async def listed(self) -> Mapping[str, tuple[Listed, ...]]:
        """Give every provider's models, asking those hosts again whose answer is old.

        A host that does not answer keeps the list that it gave before.
        """
        stale = [name for name in self._providers if self._is_stale(name)]
        if stale:
            await asyncio.gather(*(self._ask(name) for name in stale))
            self._catalogue = self._make_catalogue()
        return self._listed

    def ask_in_background(self) -> None:
        """Ask the hosts for their models without making anybody wait."""
        task = asyncio.get_running_loop().create_task(self._ask_all())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def close(self) -> None:
        """Stop asking."""
        for task in tuple(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _ask_all(self) -> None:
        await self.listed()

    def available(self, provider: str) -> bool:
        """Tell whether a provider can be called without the caller's own key."""
        return self._callable(provider)

    def _callable(self, provider: str) -> bool:
        plan = self._plans[provider]
        return bool(plan.keys) or not plan.needs_key

    def _is_stale(self, name: str) -> bool:
        if self._plans[name].models or not self._callable(name):
            return False
        asked_at = self._asked_at.get(name)
        return asked_at is None or asyncio.get_running_loop().time() - asked_at > _FRESH_S

    async def _ask(self, name: str) -> None:
        provider = self._providers[name]
        self._asked_at[name] = asyncio.get_running_loop().time()
        try:
            self._listed[name] = await asyncio.wait_for(provider.models(), _ASK_S)
        except (TimeoutError, TertuliaError) as error:
            _log.warning("models_not_listed", provider=name, error=str(error) or type(error).__name__)

    def _make_catalogue(self) -> Catalogue:
        return Catalogue(
            listed={name: tuple(model.id for model in models) for name, models in self._listed.items()},
            aliases=self._naming.aliases,
            strict=frozenset(name for name, plan in self._plans.items() if plan.strict),
            default_model=self._naming.default_model,
            default_provider=self._naming.default_provider,
            enforce_default=self._naming.enforce_default,
        )
