"""From the name that a caller gives to the models that may answer, in order (HTTP contract, OpenAI face)."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tertulia.kernel.errors import Invalid, Kind, TertuliaError

_CHARACTER: Final = "character:"
_COMPARED: Final = 1000
"""Names that one is compared with to find near ones: ten milliseconds of work."""


class ModelNotFound(TertuliaError):
    """No configured provider has this model."""

    kind = Kind.NOT_FOUND
    code = "model_not_found"


class ModelName(msgspec.Struct, frozen=True):
    """One model at one provider."""

    provider: str
    model: str

    @property
    def full(self) -> str:
        """`provider/model`."""
        return f"{self.provider}/{self.model}"


class Catalogue(msgspec.Struct, frozen=True):
    """What names are resolved against.

    `listed` has the providers in the order of the configuration, each with the models that it is known to list;
    `strict` are those that take no other.
    """

    listed: Mapping[str, Sequence[str]]
    aliases: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict[str, Sequence[str]])
    strict: frozenset[str] = frozenset()
    default_model: str = ""
    default_provider: str = ""
    enforce_default: bool = False


def resolve(asked: str | None, catalogue: Catalogue, *, api_provider: str | None = None) -> tuple[ModelName, ...]:
    """Give the models that may answer: the first, then its fallbacks.

    Of an alias's chain, those that nobody has now are passed over as long as one is left. Where the default is
    enforced, neither `asked` nor `api_provider` counts.

    Raises `ModelNotFound` with near names, `Invalid` where `api_provider` contradicts the name's own prefix.
    """
    if catalogue.enforce_default:
        api_provider = None
    if not asked or catalogue.enforce_default:
        asked = catalogue.default_model
        if not asked:
            raise ModelNotFound(
                "No model was asked for and none is the default. Set `default_model` in tertulia.toml, or name a model."
            )
    if api_provider:
        return (_at_provider(asked, api_provider, catalogue),)
    if asked not in catalogue.aliases:
        return (_single(asked, catalogue),)
    return _first_found(_unfolded(asked, catalogue.aliases), catalogue)


def check_names(catalogue: Catalogue, open_ended: frozenset[str]) -> None:
    """Find what aliases and defaults can never lead to.

    `open_ended` are the providers whose models are still to be asked for: a name may turn out to be theirs.

    Raises `Invalid` naming the setting: a loop of aliases, or a name that no configured provider can have.
    """
    if catalogue.default_provider and catalogue.default_provider not in catalogue.listed:
        raise Invalid(
            f"default_provider: no provider is called {catalogue.default_provider!r}; "
            f"there are: {', '.join(catalogue.listed) or 'none'}.",
            path="default_provider",
        )
    if catalogue.enforce_default and not catalogue.default_model:
        raise Invalid("enforce_default needs a `default_model`.", path="enforce_default")
    for alias in catalogue.aliases:
        _check_loop(alias, catalogue.aliases)
    targets = [(f"aliases.{alias}", name) for alias, chain in catalogue.aliases.items() for name in chain]
    if catalogue.default_model:
        targets.append(("default_model", catalogue.default_model))
    for place, name in targets:
        if name not in catalogue.aliases:
            _check_target(place, name, catalogue, open_ended)


def _check_loop(alias: str, aliases: Mapping[str, Sequence[str]]) -> None:
    seen: set[str] = set()
    ahead = list(aliases[alias])
    while ahead:
        name = ahead.pop()
        if name == alias:
            raise Invalid(f"aliases.{alias}: it leads back to itself.", path=f"aliases.{alias}")
        if name in aliases and name not in seen:
            seen.add(name)
            ahead += aliases[name]


def _check_target(place: str, name: str, catalogue: Catalogue, open_ended: frozenset[str]) -> None:
    try:
        _single(name, catalogue)
    except ModelNotFound as error:
        prefixed = _prefixed(name, catalogue)
        if open_ended if prefixed is None else prefixed.provider in open_ended:
            return
        raise Invalid(f"{place}: {error.message}", path=place) from None


def _unfolded(alias: str, aliases: Mapping[str, Sequence[str]]) -> list[str]:
    """Give an alias's chain with the aliases in it replaced by theirs, each name once, so that a loop ends too."""
    seen = {alias}
    found: list[str] = []
    ahead = list(reversed(aliases[alias]))
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in aliases:
            ahead += reversed(aliases[name])
        else:
            found.append(name)
    return found


def _first_found(names: Sequence[str], catalogue: Catalogue) -> tuple[ModelName, ...]:
    found: list[ModelName] = []
    missing: ModelNotFound | None = None
    for name in names:
        try:
            single = _single(name, catalogue)
        except ModelNotFound as error:
            missing = missing or error
            continue
        if single not in found:
            found.append(single)
    if not found:
        raise missing or ModelNotFound("The alias that was asked for leads to no model; see `aliases`.")
    return tuple(found)


def _at_provider(asked: str, provider: str, catalogue: Catalogue) -> ModelName:
    if provider not in catalogue.listed:
        raise Invalid(
            f"No provider is called {provider!r}; there are: {', '.join(catalogue.listed) or 'none'}.",
            path="api_provider",
        )
    prefixed = _prefixed(asked, catalogue)
    if prefixed is None:
        return _checked(ModelName(provider, asked), catalogue)
    if prefixed.provider != provider:
        raise Invalid(f"The model {asked!r} names another provider than api_provider {provider!r}.", path="model")
    return _checked(prefixed, catalogue)


def _single(asked: str, catalogue: Catalogue) -> ModelName:
    prefixed = _prefixed(asked, catalogue)
    if prefixed is not None:
        return _checked(prefixed, catalogue)
    for provider, models in catalogue.listed.items():
        if asked in models:
            return ModelName(provider, asked)
    if catalogue.default_provider in catalogue.listed:
        return _checked(ModelName(catalogue.default_provider, asked), catalogue)
    raise ModelNotFound(f"There is no model {asked[:200]!r}.{_near(asked, catalogue)}")


def _prefixed(asked: str, catalogue: Catalogue) -> ModelName | None:
    cut = min((place for place in (asked.find("/"), asked.find(":")) if place > 0), default=-1)
    if cut < 0 or asked[:cut] not in catalogue.listed or cut + 1 == len(asked):
        return None
    return ModelName(asked[:cut], asked[cut + 1 :])


def _checked(name: ModelName, catalogue: Catalogue) -> ModelName:
    if name.provider in catalogue.strict and name.model not in catalogue.listed[name.provider]:
        raise ModelNotFound(f"{name.provider} has no model {name.model[:200]!r}.{_near(name.full, catalogue)}")
    return name


def _near(asked: str, catalogue: Catalogue) -> str:
    names = [f"{provider}/{model}" for provider, models in catalogue.listed.items() for model in models]
    names += [model for models in catalogue.listed.values() for model in models] + list(catalogue.aliases)
    near = difflib.get_close_matches(asked[:200], names[:_COMPARED], n=3, cutoff=0.5)
    if near:
        return f" Did you mean {' or '.join(near)}?"
    return " GET /v1/models lists what there is." if names else " No provider lists any model; see tertulia.toml."
