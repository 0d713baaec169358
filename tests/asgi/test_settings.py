import msgspec
import pytest

from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.faces.openai.decode import decode_chat
from tertulia.kernel.errors import Invalid


def test_the_defaults_are_those_of_the_contract():
    assert ServerSettings() == ServerSettings("127.0.0.1", 8000, "", (), (), (), "", "", 30)
    requests = RequestSettings()
    assert requests.max_body_bytes == 32 * 1024 * 1024
    assert (requests.max_header_bytes, requests.max_url_bytes, requests.body_timeout_s) == (65536, 16384, 30)
    assert (requests.max_messages, requests.max_tools, requests.max_json_depth) == (2000, 128, 128)
    assert (requests.max_text_chars, requests.max_images, requests.max_image_bytes) == (1_000_000, 20, 20 * 1024 * 1024)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"port": 65536}, "port"),
        ({"port": -1}, "port"),
        ({"prot": 1}, "prot"),
        ({"trusted_proxies": ["nonsense"]}, "nonsense"),
        ({"cors_origins": ["chat.example.org"]}, "cors_origins"),
        ({"public_url": "ftp://x"}, "public_url"),
        ({"public_url": "https://"}, "public_url"),
        ({"tls_key": "key.pem"}, "tls_cert"),
        ({"graceful_s": -1}, "graceful_s"),
    ],
)
def test_what_means_nothing_is_refused_by_name(values: dict[str, object], why: str):
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.convert(values, ServerSettings)


def test_the_sizes_that_are_set_are_the_ones_that_bodies_are_read_by():
    small = msgspec.convert({"max_text_chars": 3}, RequestSettings)
    with pytest.raises(Invalid) as caught:
        decode_chat(b'{"messages":[{"role":"user","content":"four"}]}', small)
    assert caught.value.path == "messages.0.content"


@pytest.mark.parametrize(
    "values", [{"max_body_bytes": 0}, {"body_timeout_s": 0}, {"max_json_depth": -1}, {"max_size": 1}]
)
def test_sizes_are_positive(values: dict[str, object]):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, RequestSettings)


def test_what_operators_write_is_taken():
    values = {
        "host": "0.0.0.0", "port": 0, "public_url": "https://chat.example.org/", "allowed_hosts": ["*.example.org"],
        "cors_origins": ["*", "http://localhost:5173"], "trusted_proxies": ["10.0.0.0/8", "::1", "192.168.1.7/24"],
    }  # fmt: skip
    assert msgspec.convert(values, ServerSettings).port == 0
