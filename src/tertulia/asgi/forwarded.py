"""Who is behind a proxy that we trust: `X-Forwarded-For` and `X-Forwarded-Proto`."""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """The proxies whose word is taken.

    Raises `ValueError` for what is neither an address nor a network.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        networks: tuple[_Network, ...] = tuple(ipaddress.ip_network(each, strict=False) for each in trusted)
        self._any = bool(networks)

        @lru_cache(maxsize=4096)
        def within(address: str) -> bool:
            return _within(address, networks)

        self._trusts = within

    def trusts(self, address: str) -> bool:
        """Tell whether this is the address of one of them."""
        return self._any and self._trusts(address[:64])

    def client(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """Give the nearest address that is not one of ours: each proxy appends the one that it was called from."""
        if not forwarded or not self.trusts(peer):
            return peer
        hops = b",".join(forwarded).decode("latin-1").split(",")
        for hop in reversed(hops):
            address = _address(hop.strip())
            if not address:
                return peer
            peer = address
            if not self.trusts(peer):
                return peer
        return peer

    def scheme(self, peer: str, scheme: str, forwarded: bytes | None) -> str:
        """Give the scheme that the client used."""
        if forwarded and self.trusts(peer):
            first = forwarded.split(b",")[0].strip().lower()
            return {b"https": "https", b"http": "http"}.get(first, scheme)
        return scheme


def _within(address: str, networks: tuple[_Network, ...]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return any((mapped or ip) in network for network in networks)


def _address(hop: str) -> str:
    """Take the port off: `1.2.3.4:5`, `[::1]:5`, or a bare address; empty for what is none."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ipaddress.ip_address(hop))
    except ValueError:
        return ""
