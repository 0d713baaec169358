"""Settings: checked whole, and handed on as small frozen values.

Each section is a struct that its room owns; this file only says which section is whose (Operation, Settings).
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from tertulia.app.sources import ConfigurationError, Sources, Tree, follow_references, home_of, read_sources
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.generation.order import OnDisconnect
from tertulia.generation.queue import QueueSettings
from tertulia.generation.runner import StreamingSettings
from tertulia.kernel.secret import Secret
from tertulia.models.prices import PriceSetting, price_of_setting
from tertulia.observability.log import LoggingSettings
from tertulia.observability.metrics import MetricsSettings
from tertulia.providers.local.settings import LocalModelSettings
from tertulia.providers.settings import ProviderSettings

__all__ = ["ChatSettings", "ConfigurationError", "Loaded", "Settings", "home_of", "load_settings"]


class ChatSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[chat]`: what is kept, and for how long."""

    save_by_default: bool = False
    on_disconnect: OnDisconnect = "auto"
    stream_buffer_s: float = 300
    ephemeral_mb: int = 64


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. Absent sections have their defaults. `database_url` is secret because it may hold a password."""

    default_model: str = ""
    default_provider: str = ""
    enforce_default: bool = False
    providers: tuple[ProviderSettings, ...] = ()
    aliases: dict[str, tuple[str, ...]] = {}
    prices: dict[str, PriceSetting] = {}
    server: ServerSettings = ServerSettings()
    requests: RequestSettings = RequestSettings()
    chat: ChatSettings = ChatSettings()
    streaming: StreamingSettings = StreamingSettings()
    queue: QueueSettings = QueueSettings()
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings = MetricsSettings()
    local_model: LocalModelSettings = LocalModelSettings()
    database_url: Secret | None = None
    admin_api_key: Secret | None = None
    test_mode: bool = False


class Loaded(msgspec.Struct, frozen=True):
    """Settings, the file that they came from, and what of the contract's names this version does not act on."""

    settings: Settings
    home: Path
    file: Path | None
    without_effect: tuple[str, ...] = ()


LATER: Final = frozenset(
    {"accounting", "auth", "bot", "characters", "credits", "generation", "limits", "moderation", "plans", "privacy"}
    | {"routing"}
)
"""Sections of the contract that this version does not act on."""
LATER_KEYS: Final = {
    "chat": frozenset({"history_messages", "events_kept_h", "default_character"}),
    "logging": frozenset({"file", "rotate_mb", "keep", "payloads"}),
    "queue": frozenset({"max_running"}),
}
"""The same, of sections that it knows."""
_OFF: Final = {"limits": "enabled", "credits": "enforce", "moderation": "enabled"}


def load_settings(home: Path, *, file: Path | None = None, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read all settings.

    Raises `ConfigurationError` with one line that names what is wrong.
    """
    environment = os.environ if environment is None else environment
    sources = read_sources(home, file, environment, Settings)
    idle = _take_later(sources.tree)
    if environment.get("REDIS_URL") or environment.get("TERTULIA_REDIS_URL"):
        idle.append("TERTULIA_REDIS_URL")
    tree = follow_references(sources.tree, environment)
    try:
        settings = msgspec.convert(tree, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _said(error, tree, sources) from None
    for place, what in _faults(settings):
        raise ConfigurationError(f"The setting {place!r} is malformed{sources.blame(place)}: {what}.")
    return Loaded(settings, home, sources.file, tuple(idle))


def _take_later(tree: Tree) -> list[str]:
    """Take out sections that this version does not act on, and give the settings in them that would have meant more.

    Switching such a thing off is what happens anyway, so that is no surprise to anybody.
    """
    idle: list[str] = []
    for section in sorted(LATER & tree.keys()):
        branch = tree.pop(section)
        names = cast("Tree", branch) if isinstance(branch, dict) else {"": branch}
        for name, value in names.items():
            off = name == _OFF.get(section) and str(value).lower() in {"false", "0", "no", "off"}
            if not off:
                idle.append(f"{section}.{name}".rstrip("."))
    for section, later in LATER_KEYS.items():
        branch = tree.get(section)
        if isinstance(branch, dict):
            held = cast("Tree", branch)
            idle += [f"{section}.{name}" for name in sorted(later & held.keys()) if held.pop(name) is not None]
    return idle


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("Expected `str`")


def _faults(settings: Settings) -> Iterator[tuple[str, str]]:
    """Find what the types let pass: the place, and what is wrong there."""
    yield from _wild_numbers(settings, "")
    for name in StreamingSettings.__struct_fields__:
        if not getattr(settings.streaming, name):
            yield f"streaming.{name}", "0 would end every answer at once"
    names = [provider.name for provider in settings.providers]
    for n, name in enumerate(names):
        if name in names[:n]:
            yield f"providers[{n}].name", f"two providers are called {name!r}"
    for alias, chain in settings.aliases.items():
        if not chain or not all(chain):
            yield f"aliases.{alias}", "it needs at least one model, and none without a name"
    for model, price in settings.prices.items():
        try:
            price_of_setting(price)
        except ValueError as error:
            yield f"prices.{model}", str(error)


def _wild_numbers(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Find numbers that no setting means: below zero, infinite, none at all."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _wild_numbers(getattr(value, name), f"{place}.{name}".lstrip("."))
    elif isinstance(value, tuple):
        for n, entry in enumerate(cast("tuple[Any, ...]", value)):
            yield from _wild_numbers(entry, f"{place}[{n}]")
    elif isinstance(value, int | float) and (value < 0 or not math.isfinite(value)):
        yield place, f"{value} is not a number of at least 0"


def _said(error: msgspec.ValidationError, tree: Tree, sources: Sources) -> ConfigurationError:
    """Say in one line which setting is wrong; msgspec's own words, with its `$.` path read as ours."""
    what, at, where = str(error).partition(" - at `")
    place = where.removeprefix("key` in `").rstrip("`").removeprefix("$").lstrip(".") if at else ""
    section = place.partition("[...]")[0]
    if "[...]" in place:  # msgspec does not say which entry of a table it was
        place = place.replace("[...]", f".{_culprit(tree, section)}", 1)
    if what.startswith("Object contains unknown field"):
        unknown = what.split("`")[1]
        name = f"{place}.{unknown}".lstrip(".")
        return ConfigurationError(f"The setting {name!r} is unknown{sources.blame(name)}.")
    return ConfigurationError(f"The setting {place!r} is malformed{sources.blame(place)}: {what}.")


def _culprit(tree: Tree, section: str) -> str:
    """Find the entry of a table that alone cannot be read either."""
    for name, value in cast("Tree", tree.get(section) or {}).items():
        try:
            msgspec.convert({section: {name: value}}, Settings, strict=False, dec_hook=_decode)
        except msgspec.ValidationError:
            return name
    return "…"
