"""`[[providers]]`: which providers there are, and how each is reached."""

import re
from collections.abc import Mapping

import msgspec

from tertulia.kernel.errors import Invalid
from tertulia.kernel.secret import Secret
from tertulia.providers.hosts import HOSTS, KEYLESS, SERVICES, Host, Kind

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.IGNORECASE)
_LOCAL = "local"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2 "token"
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")  # RFC 9110, 5.5: a control character could end the header


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry, as it is written. `timeout_s` is to the first byte, then between bytes."""

    name: str
    kind: Kind | None = None
    base_url: str = ""
    api_keys: tuple[Secret, ...] = ()
    api_key: Secret | None = None
    models: tuple[str, ...] = ()
    strict_models: bool = False
    timeout_s: float | None = None
    max_concurrent: int | None = None
    headers: dict[str, Secret] = {}


class ProviderPlan(msgspec.Struct, frozen=True):
    """A provider as it will be made: everything that the entry, its host and the environment say together."""

    name: str
    kind: Kind
    base_url: str
    keys: tuple[Secret, ...]
    needs_key: bool
    models: tuple[str, ...]
    strict: bool
    timeout_s: float | None
    max_concurrent: int | None
    headers: Mapping[str, Secret]
    prices: str | None


_INFERENCE_TIMEOUT_S = 30.0


def plan_provider(entry: ProviderSettings, environment: Mapping[str, str]) -> ProviderPlan:
    """Complete an entry from what is known of its host.

    The environment's key goes only to the host that it is for: never to an address that the entry gives. The inference
    service is the exception, since its address is always the operator's own.

    Raises `Invalid` naming what is missing or wrong.
    """
    kind, host = _kind_and_host(entry)
    _check(entry, kind, host)
    own_url = bool(entry.base_url)
    keys = entry.api_keys or ((entry.api_key,) if entry.api_key else ())
    if not keys and host is not None and host.key_env and (not own_url or kind == "inference"):
        found = environment.get(host.key_env)
        keys = (Secret(found),) if found else ()
    usual_timeout_s = _INFERENCE_TIMEOUT_S if kind == "inference" else None
    return ProviderPlan(
        name=entry.name,
        kind=kind,
        base_url=(entry.base_url or (host.base_url if host else "")).rstrip("/"),
        keys=keys,
        needs_key=host is not None and host.key_env is not None and not own_url and kind not in KEYLESS,
        models=entry.models,
        strict=entry.strict_models,
        timeout_s=entry.timeout_s if entry.timeout_s is not None else usual_timeout_s,
        max_concurrent=entry.max_concurrent,
        headers=entry.headers,
        prices=host.prices if host and not own_url else None,
    )


def _kind_and_host(entry: ProviderSettings) -> tuple[Kind, Host | None]:
    """Give how the entry is spoken to, and what is known of its host.

    A host is known by the entry's name. A kind alone tells only a wire, which anybody may speak, except where the kind
    is a service of its own.
    """
    host = HOSTS.get(entry.name)
    kind = entry.kind or (host.kind if host else None)
    if kind is None:
        raise Invalid(
            f"providers.{entry.name}: say its `kind` (openai, anthropic, gemini, ollama, inference, …).",
            path=f"providers.{entry.name}",
        )
    if host is None or host.kind != kind:
        host = HOSTS[kind] if kind in SERVICES else None
    return kind, host


def _check(entry: ProviderSettings, kind: Kind, host: Host | None) -> None:
    where = f"providers.{entry.name}"
    if not _NAME.fullmatch(entry.name):
        raise Invalid(f"A provider's name is 1 to 64 of A-Z a-z 0-9 . _ -, not {entry.name!r}.", path="providers.name")
    if (kind == _LOCAL) != (entry.name == _LOCAL):
        raise Invalid(
            f"{where}: the name `local` and the kind `local` are the embedded model's, and go together. "
            "Give another provider another name and kind; the embedded model is set up in `[local_model]`.",
            path=where,
        )
    if host is None and not entry.base_url and kind not in {_LOCAL, "scripted"}:
        raise Invalid(f"{where}: say its `base_url`.", path=where)
    if entry.base_url and not re.fullmatch(r"https?://[^\s]+", entry.base_url):
        raise Invalid(f"{where}: base_url must begin with http:// or https://.", path=where)
    if entry.max_concurrent is not None and entry.max_concurrent < 1:
        raise Invalid(f"{where}: max_concurrent must be at least 1.", path=where)
    if entry.timeout_s is not None and entry.timeout_s <= 0:
        raise Invalid(f"{where}: timeout_s must be more than 0.", path=where)
    for name, value in entry.headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value.reveal()):
            raise Invalid(
                f"{where}: the header {name!r} is none that HTTP can carry: its name or value has a line break or "
                "another character that is not allowed there.",
                path=f"{where}.headers",
            )


def providers_of_environment(named: frozenset[str], environment: Mapping[str, str]) -> list[ProviderSettings]:
    """Give the known hosts that the environment alone switches on, in the order of the catalogue."""
    found = [
        ProviderSettings(name=name)
        for name, host in HOSTS.items()
        if name != "inference" and name not in named and host.key_env and environment.get(host.key_env)
    ]
    url = environment.get("INFERENCE_SERVICE_URL", "")
    if "inference" not in named and (url or environment.get("INFERENCE_SERVICE_API_KEY")):
        found.append(ProviderSettings(name="inference", base_url=url))
    return found
