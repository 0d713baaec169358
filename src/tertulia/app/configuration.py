"""Settings: read from the file and the environment, checked whole, handed on as small frozen values.

Each section is a struct that its room owns; this file only says which section is whose (Operation, Settings).
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.generation.order import OnDisconnect
from tertulia.generation.queue import QueueSettings
from tertulia.generation.runner import StreamingSettings
from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.kernel.secret import Secret
from tertulia.models.prices import PriceSetting
from tertulia.observability.log import LoggingSettings
from tertulia.observability.metrics import MetricsSettings
from tertulia.providers.local.settings import LocalModelSettings
from tertulia.providers.settings import ProviderSettings


class ConfigurationError(TertuliaError):
    """A setting that is unknown or malformed; the message names it in one line."""

    kind = Kind.INVALID
    code = "configuration"


class ChatSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[chat]`: what is kept, and for how long."""

    save_by_default: bool = False
    on_disconnect: OnDisconnect = "auto"
    stream_buffer_s: float = 300
    ephemeral_mb: int = 64


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. Absent sections have their defaults."""

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
    database_url: str = ""
    admin_api_key: Secret | None = None
    test_mode: bool = False


class Loaded(msgspec.Struct, frozen=True):
    """Settings, the file that they came from, and what of the contract's names this version does not act on."""

    settings: Settings
    home: Path
    file: Path | None
    without_effect: tuple[str, ...] = ()


_PREFIX: Final = "TERTULIA_"
_TOP: Final = {"database_url", "admin_api_key", "test_mode", "default_model", "default_provider", "enforce_default"}
_LATER: Final = frozenset(
    {"accounting", "auth", "bot", "characters", "credits", "generation", "limits", "moderation", "plans", "privacy"}
    | {"routing"}
)
_NOT_SETTINGS: Final = frozenset({"home", "config", "redis_url"})
_LATER_KEYS: Final = {
    "chat": frozenset({"history_messages", "events_kept_h", "default_character"}),
    "logging": frozenset({"file", "rotate_mb", "keep", "payloads"}),
}
_OFF: Final = {"limits": "enabled", "credits": "enforce", "moderation": "enabled"}


def home_of(given: Path | None, environment: Mapping[str, str]) -> Path:
    """Find the home: as given, else `TERTULIA_HOME`, else `./.tertulia` where it is, else the user's data directory."""
    if given is not None:
        return given
    if named := environment.get("TERTULIA_HOME"):
        return Path(named)
    here = Path(".tertulia")
    if here.is_dir():
        return here
    data = environment.get("XDG_DATA_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".local" / "share")
    return Path(data) / "tertulia"


def load_settings(home: Path, *, file: Path | None = None, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read all settings.

    Raises `ConfigurationError` with one line that names what is wrong.
    """
    environment = os.environ if environment is None else environment
    path = _file_of(home, file, environment)
    tree = _read_file(path) if path is not None else {}
    _lay_over(tree, environment)
    idle = _take_later(tree)
    if environment.get("REDIS_URL") or environment.get("TERTULIA_REDIS_URL"):
        idle.append("TERTULIA_REDIS_URL")
    tree = _resolve(tree, environment, "")
    try:
        settings = msgspec.convert(tree, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_said(error, path)) from None
    return Loaded(settings, home, path, tuple(idle))


def _file_of(home: Path, file: Path | None, environment: Mapping[str, str]) -> Path | None:
    if file is None and environment.get("TERTULIA_CONFIG"):
        file = Path(environment["TERTULIA_CONFIG"])
    if file is not None:
        if not file.is_file():
            raise ConfigurationError(f"The configuration file {file} does not exist.")
        return file
    usual = home / "tertulia.toml"
    return usual if usual.is_file() else None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _lay_over(tree: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Let the environment win over the file: `TERTULIA_SECTION__NAME`, and the fixed names."""
    for name, value in environment.items():
        if not name.startswith(_PREFIX):
            continue
        section, cut, key = name[len(_PREFIX) :].lower().partition("__")
        if section in _NOT_SETTINGS:
            continue
        if section == "port" and not cut:
            section, cut, key = "server", "__", "port"
        if not cut:
            if section not in _TOP:
                raise ConfigurationError(f"The environment variable {name} is no setting of Tertulia.")
            tree[section] = value
            continue
        branch = tree.setdefault(section, {})
        if not isinstance(branch, dict):
            raise ConfigurationError(f"The environment variable {name} names no section.")
        cast("dict[str, Any]", branch)[key] = value
    if "TEST_MODE" in environment and "test_mode" not in tree:
        tree["test_mode"] = environment["TEST_MODE"]


def _take_later(tree: dict[str, Any]) -> list[str]:
    """Take out sections that this version does not act on, and give the settings in them that would have meant more.

    Switching such a thing off is what happens anyway, so that is no surprise to anybody.
    """
    idle: list[str] = []
    for section in sorted(_LATER & tree.keys()):
        branch = tree.pop(section)
        names = cast("dict[str, Any]", branch) if isinstance(branch, dict) else {"": branch}
        for name, value in names.items():
            off = name == _OFF.get(section) and str(value).lower() in {"false", "0", "no", "off"}
            if not off:
                idle.append(f"{section}.{name}".rstrip("."))
    for section, later in _LATER_KEYS.items():
        branch = tree.get(section)
        if isinstance(branch, dict):
            held = cast("dict[str, Any]", branch)
            idle += [f"{section}.{name}" for name in sorted(later & held.keys()) if held.pop(name) is not None]
    return idle


def _resolve(value: Any, environment: Mapping[str, str], path: str) -> Any:
    """Follow `env:NAME` and `file:PATH`, which may stand wherever a secret does."""
    if isinstance(value, dict):
        branch = cast("dict[str, Any]", value)
        return {key: _resolve(inner, environment, f"{path}.{key}".lstrip(".")) for key, inner in branch.items()}
    if isinstance(value, list):
        return [_resolve(inner, environment, path) for inner in cast("list[Any]", value)]
    if not isinstance(value, str):
        return value
    if value.startswith("env:"):
        if value[4:] not in environment:
            raise ConfigurationError(f"{path}: the environment variable {value[4:]} is not set.")
        return environment[value[4:]]
    if value.startswith("file:") and not value.startswith("file://"):
        try:
            return Path(value[5:]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(f"{path}: the file {value[5:]} cannot be read.") from None
    return value


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise msgspec.ValidationError(f"Expected `{kind.__name__}`")


def _said(error: msgspec.ValidationError, path: Path | None) -> str:
    """Say in one line which setting is wrong; msgspec's own words, with its `$.` path read as ours."""
    text = str(error)
    what, at, where = text.partition(" - at `$")
    place = where.rstrip("`").lstrip(".") if at else ""
    if what.startswith("Object contains unknown field"):
        unknown = what.split("`")[1]
        return f"The setting {(place + '.' + unknown).lstrip('.')!r} is unknown{_in(path)}."
    return f"The setting {place!r} is malformed{_in(path)}: {what}."


def _in(path: Path | None) -> str:
    return f" (in {path}, or the environment)" if path else " (in the environment)"
