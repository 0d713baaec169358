"""Where settings come from: the file, the environment over it, and the references in both (Operation, Settings)."""

import sys
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from tertulia.kernel.errors import Kind, TertuliaError

Tree = dict[str, Any]

_PREFIX: Final = "TERTULIA_"
_NOT_SETTINGS: Final = frozenset({"home", "config", "redis_url"})


class ConfigurationError(TertuliaError):
    """A setting that is unknown or malformed; the message names it in one line."""

    kind = Kind.INVALID
    code = "configuration"


class Sources(msgspec.Struct, frozen=True):
    """All settings as they were given, and where: the file, or the variable by the setting's dotted name."""

    tree: Tree
    file: Path | None
    variables: dict[str, str]

    def blame(self, place: str) -> str:
        """Say in brackets where the setting at a place came from, or may have come from."""
        bare = place.partition("[")[0]
        if bare in self.variables:
            return f" (in {self.variables[bare]})"
        parts = [variable for name, variable in self.variables.items() if name.startswith(f"{bare}.")]
        places = ([str(self.file)] if self.file else []) + parts
        return f" (in {' or '.join(places)})" if places else ""


def home_of(given: Path | None, environment: Mapping[str, str]) -> Path:
    """Find the home: as given, else `TERTULIA_HOME`, else `./.tertulia` where it is, else the user's data directory."""
    if given is not None:
        return given.expanduser()
    if named := environment.get("TERTULIA_HOME"):
        return Path(named).expanduser()
    here = Path(".tertulia")
    return here if here.is_dir() else _user_data(environment) / "tertulia"


def read_sources(home: Path, file: Path | None, environment: Mapping[str, str], shape: type[msgspec.Struct]) -> Sources:
    """Read the file and lay the environment over it; `shape` tells which settings are lists.

    Raises `ConfigurationError`.
    """
    path = _file_of(home, file, environment)
    tree = _read_file(path) if path is not None else {}
    variables = _lay_over(tree, environment, shape)
    return Sources(tree, path, variables)


def follow_references(value: Any, environment: Mapping[str, str], place: str = "") -> Any:
    """Put in what `env:NAME` and `file:PATH` stand for.

    Raises `ConfigurationError` where there is no such thing.
    """
    if isinstance(value, dict):
        branch = cast("Tree", value)
        return {
            key: follow_references(inner, environment, f"{place}.{key}".lstrip(".")) for key, inner in branch.items()
        }
    if isinstance(value, list):
        entries = enumerate(cast("list[Any]", value))
        return [follow_references(inner, environment, f"{place}[{n}]") for n, inner in entries]
    if not isinstance(value, str):
        return value
    if value.startswith("env:"):
        if value[4:] not in environment:
            raise ConfigurationError(f"The setting {place!r}: the environment variable {value[4:]} is not set.")
        return environment[value[4:]]
    if value.startswith("file:") and not value.startswith("file://"):
        try:
            return Path(value[5:]).expanduser().read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(f"The setting {place!r}: the file {value[5:]} cannot be read: {reason}.") from None
    return value


def _user_data(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or "~").expanduser()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    if sys.platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local")
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")


def _file_of(home: Path, file: Path | None, environment: Mapping[str, str]) -> Path | None:
    if file is None and environment.get("TERTULIA_CONFIG"):
        file = Path(environment["TERTULIA_CONFIG"])
    if file is None:
        usual = home / "tertulia.toml"
        return usual if usual.is_file() else None
    file = file.expanduser()
    if not file.is_file():
        raise ConfigurationError(
            f"The configuration file {file} {'is no file' if file.exists() else 'does not exist'}."
        )
    return file


def _read_file(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not TOML: it is not UTF-8.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None


def _lay_over(tree: Tree, environment: Mapping[str, str], shape: type[msgspec.Struct]) -> dict[str, str]:
    """Let the environment win over the file: `TERTULIA_SECTION__NAME`, and the fixed names."""
    variables: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(_PREFIX):
            continue
        section, cut, key = variable[len(_PREFIX) :].lower().partition("__")
        if section in _NOT_SETTINGS and not cut:
            continue
        if section == "port" and not cut:
            section, cut, key = "server", "__", "port"
        if not cut:
            _require_plain(section, variable, shape)
            tree[section] = value
            variables[section] = variable
            continue
        branch = tree.setdefault(section, {})
        if not isinstance(branch, dict):
            raise ConfigurationError(f"The environment variable {variable} names no section of settings.")
        cast("Tree", branch)[key] = _listed(value) if _is_list(shape, section, key) else value
        variables[f"{section}.{key}"] = variable
    if "TEST_MODE" in environment and "test_mode" not in tree:
        tree["test_mode"] = environment["TEST_MODE"]
        variables["test_mode"] = "TEST_MODE"
    return variables


def _require_plain(name: str, variable: str, shape: type[msgspec.Struct]) -> None:
    """Let only single values stand alone: sections are written with their names."""
    plain = {field.name for field in msgspec.structs.fields(shape) if not _has_names(field.type)}
    if name not in plain:
        raise ConfigurationError(f"The environment variable {variable} is no setting of Tertulia.")


def _has_names(kind: Any) -> bool:
    """Tell whether a setting's type is a section, a table or a list."""
    return typing.get_origin(kind) in {dict, tuple} or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def _is_list(shape: type[msgspec.Struct], section: str, key: str) -> bool:
    kind: Any = {field.name: field.type for field in msgspec.structs.fields(shape)}.get(section)
    if typing.get_origin(kind) is dict:
        return typing.get_origin(typing.get_args(kind)[1]) is tuple
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return False
    return any(field.name == key and typing.get_origin(field.type) is tuple for field in msgspec.structs.fields(kind))


def _listed(value: str) -> list[str]:
    """Read a list out of a variable: its entries stand between commas."""
    return [entry for part in value.split(",") if (entry := part.strip())]
