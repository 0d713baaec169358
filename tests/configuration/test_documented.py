"""`docs/settings.md` and the settings say the same (Architecture, Style: completeness is a test)."""

import re
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tertulia.app.configuration import LATER, LATER_KEYS, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \| \S.* \|$", PAGE, re.MULTILINE))


def settings(shape: type[msgspec.Struct], prefix: str = "") -> dict[str, Any]:
    """Every setting that this version acts on, by its name in the page, with its default."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        name = f"{prefix}{field.name}"
        inner = typing.get_args(field.type)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= settings(field.type, f"{name}.")
        elif inner and isinstance(inner[0], type) and issubclass(inner[0], msgspec.Struct):
            found |= settings(inner[0], f"{name}[].")
        elif len(inner) > 1 and isinstance(inner[1], type) and issubclass(inner[1], msgspec.Struct):
            found |= settings(inner[1], f"{name}.*.")
        elif prefix.rstrip(".") not in LATER_KEYS or field.name not in LATER_KEYS[prefix.rstrip(".")]:
            found[name] = field.default_factory() if callable(field.default_factory) else field.default
    return found


KNOWN = settings(Settings)


def test_every_setting_has_its_line_and_every_line_its_setting() -> None:
    assert len(KNOWN) > 50
    assert sorted(ROWS) == sorted(KNOWN)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_default_is_the_one_in_force(name: str) -> None:
    said, default = ROWS[name], KNOWN[name]
    if default is msgspec.NODEFAULT:
        assert said == "required"
    elif default is None:
        assert said in {"none", "by name"}
    elif name == "providers[].base_url":
        assert (said, default) == ("by name", "")
    else:
        assert said == f"`{msgspec.json.encode(default).decode()}`"


def test_what_has_no_effect_is_named() -> None:
    said = PAGE.partition("## Without effect in this version")[2]
    named = set(re.findall(r"`([^`]+)`", said))
    later = {f"[{section}]" for section in LATER} | {
        f"{name}.{key}" for name, keys in LATER_KEYS.items() for key in keys
    }
    assert named == later | {"TERTULIA_REDIS_URL"}
