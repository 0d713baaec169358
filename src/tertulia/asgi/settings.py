"""The settings of this room: `[server]` and `[requests]` (Operation, Defaults; HTTP contract, Sizes)."""

from ipaddress import ip_network
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from tertulia.kernel.bounds import AtLeastOne, Seconds
from tertulia.wire.sizes import MIB, Sizes

KIB: Final = 1024

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where it listens, and for whom.

    `allowed_hosts` takes names, `*.example.org` for all below a name, and `*` for any; loopback names, the host of
    `public_url` and a `host` that is one address are always allowed. `cors_origins` takes origins
    (`https://chat.example.org`), or `*` for any, then without cookies. `trusted_proxies` takes addresses and networks.
    `graceful_s` is how long a stop waits for what is running.

    Raises `ValueError` for a value that means nothing.
    """

    host: str = "127.0.0.1"
    port: Port = 8000
    public_url: str = ""
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    graceful_s: Annotated[float, msgspec.Meta(ge=0)] = 30

    def __post_init__(self) -> None:
        for each in self.trusted_proxies:
            ip_network(each, strict=False)
        for name, url in (("public_url", self.public_url), *(("cors_origins", each) for each in self.cors_origins)):
            if url not in {"", "*"} and not _is_web_address(url):
                raise ValueError(f"{name}: {url!r} does not begin with http:// or https:// and a host")
        if self.tls_key and not self.tls_cert:
            raise ValueError("tls_key is set, and tls_cert is not")


class RequestSettings(Sizes, frozen=True, forbid_unknown_fields=True):
    """`[requests]`: how large a request may be, and how slow."""

    max_body_bytes: AtLeastOne = 32 * MIB
    max_header_bytes: AtLeastOne = 64 * KIB
    max_url_bytes: AtLeastOne = 16 * KIB
    body_timeout_s: Seconds = 30


def _is_web_address(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
