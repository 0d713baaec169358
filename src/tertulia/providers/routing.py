"""From a name to the calls that may answer it; and which models there are."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Final, final

import msgspec
import structlog

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.kernel.secret import Secret
from tertulia.models.names import Catalogue, ModelName, ModelNotFound, check_names, resolve
from tertulia.providers.port import Listed, Provider, Target, UpstreamFault
from tertulia.providers.settings import ProviderPlan
from tertulia.turn.request import Request

_log = structlog.get_logger("tertulia.providers")
_FRESH_S: Final = 300.0
_AGAIN_S: Final = 30.0
_ASK_S: Final = 10.0
_FIRST_S: Final = 2.0


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
        self._fresh_until: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._waited_for: set[str] = set()
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
        try:
            names = list(resolve(asked, self._catalogue, api_provider=api_provider))
            for fallback in fallbacks:
                names += [name for name in resolve(fallback, self._catalogue) if name not in names]
        except ModelNotFound:
            self.ask_in_background()  # it may be new there, or its host was down: the next request finds it
            raise
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

    @property
    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        """The aliases, each with its chain."""
        return self._naming.aliases

    def check(self) -> None:
        """Find aliases and defaults that can lead nowhere, for a start that says so.

        Raises `Invalid` naming the setting.
        """
        check_names(self._catalogue, frozenset(name for name, plan in self._plans.items() if not plan.models))

    async def listed(self) -> Mapping[str, tuple[Listed, ...]]:
        """Give every provider's models as far as they are known, and have hosts asked again whose answer is old.

        Only a host that was never waited for is waited for, once and for 2 s at most. One that does not answer keeps
        the list that it gave before.
        """
        self.ask_in_background()
        unheard = {name: task for name, task in self._asking.items() if name not in self._waited_for}
        if unheard:
            await asyncio.wait(unheard.values(), timeout=_FIRST_S)
            self._waited_for |= unheard.keys()
        return self._listed

    def ask_in_background(self) -> None:
        """Ask the hosts whose answer is old for their models, without making anybody wait."""
        for name in self._providers:
            if name not in self._asking and self._is_stale(name):
                self._asking[name] = asyncio.get_running_loop().create_task(self._ask(name))

    async def close(self) -> None:
        """Stop asking."""
        asking = tuple(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def available(self, provider: str) -> bool:
        """Tell whether a provider can be called without the caller's own key."""
        return self._callable(provider)

    def _callable(self, provider: str) -> bool:
        plan = self._plans[provider]
        return bool(plan.keys) or not plan.needs_key

    def _is_stale(self, name: str) -> bool:
        if self._plans[name].models or not self._callable(name):
            return False
        return monotonic() >= self._fresh_until.get(name, 0.0)

    async def _ask(self, name: str) -> None:
        """Ask one host; whatever becomes of it is its own matter, and no other's."""
        fresh_s = _AGAIN_S
        try:
            models = await asyncio.wait_for(self._providers[name].models(), _ASK_S)
            self._listed = {**self._listed, name: models}
            self._catalogue = self._make_catalogue()
            fresh_s = _FRESH_S
        except (TimeoutError, TertuliaError, UpstreamFault) as error:
            _log.warning("models_not_listed", provider=name, error=str(error) or type(error).__name__)
        except Exception:  # noqa: BLE001 - a defect in reading one host's list must not cost the lists of the others
            _log.exception("models_not_listed", provider=name)
        finally:
            self._fresh_until[name] = monotonic() + fresh_s
            del self._asking[name]

    def _make_catalogue(self) -> Catalogue:
        return Catalogue(
            listed={name: tuple(model.id for model in models) for name, models in self._listed.items()},
            aliases=self._naming.aliases,
            strict=frozenset(name for name, plan in self._plans.items() if plan.strict),
            default_model=self._naming.default_model,
            default_provider=self._naming.default_provider,
            enforce_default=self._naming.enforce_default,
        )
