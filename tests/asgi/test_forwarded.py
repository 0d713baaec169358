import pytest

from tertulia.asgi.forwarded import Proxies

OURS = Proxies(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["1.1.1.1"], "203.0.113.9"),  # a stranger's word is nothing
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.4"], "198.51.100.4"),
        ("10.1.2.3", ["6.6.6.6, 198.51.100.4"], "198.51.100.4"),  # what the client itself wrote comes first
        ("10.1.2.3", ["6.6.6.6", "198.51.100.4, 192.0.2.7"], "198.51.100.4"),
        ("10.1.2.3", ["10.9.9.9, 10.8.8.8"], "10.9.9.9"),
        ("10.1.2.3", ["198.51.100.4:5123"], "198.51.100.4"),
        ("10.1.2.3", ["[2001:4860::1]:5123"], "2001:4860::1"),
        ("2001:db8::1", ["2001:4860::1"], "2001:4860::1"),
        ("::ffff:10.1.2.3", ["198.51.100.4"], "198.51.100.4"),
        ("10.1.2.3", ["nonsense"], "10.1.2.3"),
        ("10.1.2.3", ["6.6.6.6, unknown, 10.8.8.8"], "10.8.8.8"),
        ("", ["1.1.1.1"], ""),
    ],
)
def test_the_client_is_the_nearest_address_that_is_not_ours(peer: str, forwarded: list[str], client: str):
    assert OURS.client(peer, [each.encode() for each in forwarded]) == client


def test_the_scheme_is_taken_from_a_trusted_proxy_only():
    assert OURS.scheme("10.1.1.1", "http", b"https") == "https"
    assert OURS.scheme("10.1.1.1", "http", b"HTTPS, http") == "https"
    assert OURS.scheme("10.1.1.1", "http", b"gopher") == "http"
    assert OURS.scheme("8.8.8.8", "http", b"https") == "http"


def test_what_is_no_address_is_refused_when_it_is_set():
    with pytest.raises(ValueError, match="nonsense"):
        Proxies(["nonsense"])
