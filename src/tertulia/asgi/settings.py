"""The settings of this room: `[server]` and `[requests]` (Operation, Defaults; HTTP contract, Sizes)."""

import msgspec

KIB = 1024
MIB = 1024 * KIB


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where it listens, and for whom.

    `allowed_hosts` takes names, `*.example.org` for all below a name, and `*` for any; loopback names, the host of
    `public_url` and a `host` that is one address are always allowed. `cors_origins` takes origins
    (`https://chat.example.org`), or `*` for any, then without cookies. `trusted_proxies` takes addresses and networks.
    `graceful_s` is how long a stop waits for what is running.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    graceful_s: float = 30


class RequestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[requests]`: how large a request may be, and how slow."""

    max_body_bytes: int = 32 * MIB
    max_messages: int = 2_000
    max_text_chars: int = 1_000_000
    max_images: int = 20
    max_image_bytes: int = 20 * MIB
    max_tools: int = 128
    max_json_depth: int = 128
    max_header_bytes: int = 64 * KIB
    max_url_bytes: int = 16 * KIB
    body_timeout_s: float = 30
