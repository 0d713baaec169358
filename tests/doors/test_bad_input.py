"""What the contract does not allow gets its 4xx, says what to do, and leaves nothing behind."""

import json
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as under
from hypothesis import strategies as st

from tests.doors.books import counted
from tests.running import FakeUpstream, RunningServer, chat

PATH = "/v1/chat/completions"
USER = {"role": "user", "content": "hello"}
MIB = 1024 * 1024


@contextmanager
def nothing_happens(server: RunningServer, upstream: FakeUpstream) -> Generator[None]:
    """Hold what is stored, and what the provider was asked, against what is afterwards."""
    before, asked = counted(server), upstream.counts()["asked"]
    yield
    assert counted(server) == before
    assert upstream.counts()["asked"] == asked


def refusal(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The error of OpenAI's form."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"error"}
    error = body["error"]
    assert error["code"] == code
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) > 10
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


def part(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [fields]}]}


def image(url: Any) -> dict[str, Any]:
    return part(type="image_url", image_url={"url": url})


IMAGE = {"type": "image_url", "image_url": {"url": "https://a.example.org/b"}}
FORMS: list[tuple[dict[str, Any], str]] = [
    ({"messages": None}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [5]}, "messages"),
    ({"messages": [{}]}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages"),
    ({"messages": [{"role": "user", "content": None}]}, "messages"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages"),
    ({"messages": [{"role": "user", "content": []}]}, "messages"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages"),
    ({"messages": [{"role": None, "content": "x"}]}, "messages"),
    ({"messages": [{"content": "x"}]}, "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
    ({"messages": [{"role": "function", "content": "x"}]}, "messages"),
    ({"messages": [{"role": "assistant", "content": None, "tool_calls": "x"}]}, "messages"),
    ({"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": 5}]}]}, "messages"),
    ({"messages": [{"role": "user", "content": "x", "name": 5}]}, "messages"),
    ({"messages": [USER] * 2001}, "messages"),
    ({"messages": [{"role": "user", "content": "x" * 1_000_001}]}, "messages"),
    (part(type="telepathy"), "messages"),
    (part(type="text"), "messages"),
    (part(type="text", text=5), "messages"),
    (part(type="image_url"), "messages"),
    (image(5), "messages"),
    (image("http://example.org/cat.png"), "messages"),
    (image("file:///etc/passwd"), "messages"),
    (image("javascript:alert(1)"), "messages"),
    (image("data:text/html;base64,PGI+"), "messages"),
    (image("data:image/png,plain"), "messages"),
    (image("https://"), "messages"),
    ({"messages": [{"role": "user", "content": [IMAGE] * 21}]}, "messages"),
    ({"model": 5}, "model"),
    ({"model": ["up/echo"]}, "model"),
    ({"model": ""}, "model"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"min_p": -1}, "min_p"),
    ({"top_k": 1.5}, "top_k"),
    ({"n": 0}, "n"),
    ({"n": 9}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": "2"}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -5}, "max_tokens"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_completion_tokens": 10**30}, "max_completion_tokens"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"frequency_penalty": "x"}, "frequency_penalty"),
    ({"seed": "lucky"}, "seed"),
    ({"stop": 5}, "stop"),
    ({"stop": ["x"] * 65}, "stop"),
    ({"stop": [5]}, "stop"),
    ({"logit_bias": []}, "logit_bias"),
    ({"logit_bias": {"5": 101}}, "logit_bias"),
    ({"logprobs": "yes"}, "logprobs"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {}}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"tools": "weather"}, "tools"),
    ({"tools": [5]}, "tools"),
    ({"tools": [{}]}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools"),
    ({"tools": [{"type": "function", "function": {"name": "x", "parameters": "y"}}]}, "tools"),
    ({"tools": [{"type": "function", "function": {"name": "x"}}] * 129}, "tools"),
    ({"tool_choice": "always"}, "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "tool_choice"),
    ({"stream": "yes"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": True, "stream_options": "usage"}, "stream_options"),
    ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options"),
    ({"metadata": "x"}, "metadata"),
    ({"user": 5}, "user"),
    ({"save_to_db": "yes"}, "save_to_db"),
    ({"save_to_db": True, "store": False}, "store"),
    ({"priority": "urgent"}, "priority"),
    ({"on_disconnect": "stay"}, "on_disconnect"),
    ({"fallbacks": "up/echo"}, "fallbacks"),
    ({"fallbacks": [""]}, "fallbacks"),
    ({"fallbacks": ["up/echo"] * 17}, "fallbacks"),
    ({"api_provider": 5}, "api_provider"),
    ({"conversation_id": "x"}, "conversation_id"),
    ({"conversation_id": 5}, "conversation_id"),
    ({"parent_message_id": "00000000-0000-7000-8000-000000000000"}, "parent_message_id"),
    ({"character_id": "me"}, "character_id"),
    ({"world_book_ids": "x"}, "world_book_ids"),
    ({"dictionary_ids": ["x"]}, "dictionary_ids"),
    ({"history_message_limit": 0}, "history_message_limit"),
    ({"history_message_limit": 501}, "history_message_limit"),
    ({"user_name": ""}, "user_name"),
    ({"strict_params": 1}, "strict_params"),
    ({"top_p": 0.5, "topP": 0.6}, "topP"),
    ({"max_tokens": 5, "maxTokens": 6}, "maxTokens"),
    ({"saveToDb": True, "save_to_db": False}, "saveToDb"),
    ({"messages": [{**USER, "toolCallId": "a", "tool_call_id": "b"}]}, "messages"),
]  # fmt: skip


@pytest.mark.parametrize("save", [True, False], ids=["durable", "ephemeral"])
def test_a_wrong_form_is_named_and_leaves_nothing(server: RunningServer, upstream: FakeUpstream, *, save: bool) -> None:
    client = server.client()
    with nothing_happens(server, upstream):
        for fields, param in FORMS:
            body = {"model": "up/echo", "messages": [USER], "save_to_db": save, **fields}
            answer = client.post(PATH, json=body)
            error = refusal(answer, 400, "invalid")
            assert error["param"] == param, (fields, error)
            assert param in error["message"], error
            assert len(answer.content) < 3000


UNDECODABLE = {
    "nothing": b"",
    "blanks": b"  \n ",
    "half": b'{"model": "up/echo", "messages": [{"role": "user"',
    "comma": b'{"messages": [],}',
    "quotes": b"{'messages': []}",
    "bare": b"messages",
    "nan": b'{"temperature": NaN, "messages": []}',
    "infinity": b'{"temperature": Infinity, "messages": []}',
    "two": b'{"messages": []}{"messages": []}',
    "control": b'{"messages": [{"role": "user", "content": "a\x01b"}]}',
    "latin-1": '{"messages": [{"role": "user", "content": "caf\u00e9"}]}'.encode("latin-1"),
    "utf-16": '{"messages": []}'.encode("utf-16"),
    "cut utf-8": b'{"messages": [{"role": "user", "content": "\xf0\x9f\x98"}]}',
    "overlong": b'{"messages": [{"role": "user", "content": "\xc0\xaf"}]}',
    "surrogate": b'{"messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
    "lone escape": b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    "second half": b'{"messages": [{"role": "user", "content": "\\udc00x"}]}',
    "bad escape": b'{"messages": [{"role": "user", "content": "\\x41"}]}',
    "deep lists": b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "open lists": b"[" * 1_000_000,
    "129 deep": b'{"messages": [{"role": "user", "content": "x"}], "x": ' + b"[" * 128 + b"]" * 128 + b"}",
    "deep in a message": b'{"messages": [{"role": "user", "content": "x", "y": ' + b"[" * 127 + b"]" * 127 + b"}]}",
    "a million lists": b'{"x": [' + b"[]," * 3_000_000 + b"[]]}",
}


@pytest.mark.promise(38)
@pytest.mark.parametrize("name", UNDECODABLE)
def test_what_is_no_json_is_refused(server: RunningServer, upstream: FakeUpstream, name: str) -> None:
    client = server.client()
    with nothing_happens(server, upstream):
        answer = client.post(PATH, content=UNDECODABLE[name], headers={"Content-Type": "application/json"})
        error = refusal(answer, 400, answer.json()["error"]["code"])
    assert error["code"] in ({"invalid", "malformed_json"} if name == "a million lists" else {"malformed_json"})


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"5", b"null", b"true"])
def test_json_that_is_no_object_is_refused(server: RunningServer, upstream: FakeUpstream, body: bytes) -> None:
    with nothing_happens(server, upstream):
        answer = server.client().post(PATH, content=body)
        assert "must be a JSON object" in refusal(answer, 400, "invalid")["message"]


@pytest.mark.parametrize(
    "where",
    [
        {"messages": [{"role": "user", "content": "a\0b"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "\0"}]}]},
        {"model": "up/\0"},
        {"user_name": "\0"},
        {"unknown": {"deep": ["\0"]}},
        {"\0": 1},
    ],
)
def test_nul_is_refused_wherever_it_stands(
    server: RunningServer, upstream: FakeUpstream, where: dict[str, Any]
) -> None:
    with nothing_happens(server, upstream):
        answer = server.client().post(PATH, json={"messages": [USER], "save_to_db": True, **where})
        assert "NUL" in refusal(answer, 400, "invalid")["message"]


def test_text_about_nul_is_text(server: RunningServer) -> None:
    said = "write it as \\u0000"
    assert chat(server.client(), said, save_to_db=True).json()["choices"][0]["message"]["content"] == said


@pytest.mark.parametrize(
    "text", ["\U0001f600" * 3, "a\u0301 \u202e \ufeff \uffff", "\x7f\t\r\n", "{{7*7}} ${x} %s", "</script>"]
)
def test_every_other_text_comes_back_as_it_went(server: RunningServer, text: str) -> None:
    for save in (True, False):
        assert chat(server.client(), text, save_to_db=save).json()["choices"][0]["message"]["content"] == text


def test_of_a_key_that_stands_twice_the_last_counts_everywhere(server: RunningServer, upstream: FakeUpstream) -> None:
    body = (
        b'{"model": "strict/other", "model": "up/echo", "messages": [{"role": "user", "content": "a", "content": "b"}]}'
    )
    answer = server.client().post(PATH, content=body)
    assert answer.json()["choices"][0]["message"]["content"] == "b"


@pytest.mark.parametrize(
    "media", ["text/plain", "multipart/form-data; boundary=x", "application/xml", "application/jsonp"]
)
def test_another_media_type_is_refused(server: RunningServer, upstream: FakeUpstream, media: str) -> None:
    body = json.dumps({"messages": [USER]}).encode()
    with nothing_happens(server, upstream):
        answer = server.client().post(PATH, content=body, headers={"Content-Type": media})
        assert "application/json" in refusal(answer, 415, "unsupported_media_type")["message"]


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", None])
def test_json_goes_by_several_names(server: RunningServer, media: str | None) -> None:
    body = json.dumps({"model": "up/echo", "messages": [USER]}).encode()
    headers = {"Content-Type": media} if media else {}
    assert server.client().post(PATH, content=body, headers=headers).status_code == 200


def test_a_compressed_body_is_refused(server: RunningServer, upstream: FakeUpstream) -> None:
    with nothing_happens(server, upstream):
        answer = server.client().post(PATH, content=b"\x1f\x8b" + b"0" * 50, headers={"Content-Encoding": "gzip"})
        refusal(answer, 415, "unsupported_media_type")


@pytest.mark.promise(38)
def test_a_body_of_40_mb_is_413_and_its_sender_can_read_that(server: RunningServer, upstream: FakeUpstream) -> None:
    client = server.client()
    monster = json.dumps({"messages": [{"role": "user", "content": "x" * (40 * MIB)}]}).encode()

    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * MIB

    with nothing_happens(server, upstream):
        for content in (monster, pieces()):
            answer = client.post(PATH, content=content, headers={"Content-Type": "application/json"})
            assert "33554432" in refusal(answer, 413, "body_too_large")["message"]
    assert chat(client).status_code == 200


def test_a_body_that_is_said_to_be_large_is_refused_before_it_comes(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {server.key()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {40 * MIB}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(head.encode())
        assert raw.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_unknown_routes(server: RunningServer) -> None:
    client = server.client()
    for path in (
        "/v1",
        "/v1/nonesuch",
        "/v1/chat",
        "/v1/chat/completions/x",
        "//v1/models",
        "/v1//models",
        "/V1/models",
    ):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["error"]["code"] == "not_found"
    assert client.get("/v1/nonesuch").json()["error"].keys() >= {"message", "type", "param", "code", "request_id"}
    assert client.get("/api/nonesuch").json().keys() == {"error", "requestId"}
    for path in ("/api/../etc/passwd", "/v1/%2e%2e/%2e%2e/etc/passwd", "/%00", "/api/%ff%fe", "/api/" + "x" * 5000):
        assert client.get(path).status_code == 404
    assert client.get("/api/" + "x" * 20_000).status_code == 414


def test_other_methods(server: RunningServer) -> None:
    client = server.client()
    for method, path, allowed in (
        ("GET", PATH, "POST"),
        ("PUT", PATH, "POST"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("PATCH", "/api/health", "GET, HEAD"),
        ("POST", "/api/generations/00000000-0000-7000-8000-000000000000", "GET, HEAD"),
        ("BREW", PATH, "POST"),
    ):
        answer = client.request(method, path)
        if method == "BREW" and answer.status_code == 400:
            continue  # the parser knows the methods of the registry alone
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), (method, path)
        assert answer.json()["error"]["code"] == "method_not_allowed"
        assert allowed in answer.json()["error"]["message"]


def test_a_trailing_slash_makes_no_difference(server: RunningServer) -> None:
    client = server.client()
    generation = chat(client, save_to_db=True).headers["x-generation-id"]
    for path in (
        "/v1/models", "/api/v1/models", "/v1/models/fast", "/api/models", "/api/health", "/health/live",
        "/health/ready", "/api/version", "/metrics", "/openapi.json", "/docs", f"/api/generations/{generation}",
        f"/api/generations/{generation}/events", "/v1/nonesuch", "/api/nonesuch",
    ):  # fmt: skip
        without, with_it = client.get(path), client.get(f"{path}/")
        assert with_it.status_code == without.status_code, path
        assert with_it.headers["content-type"] == without.headers["content-type"]
        assert "location" not in with_it.headers
    asked = {"model": "up/echo", "messages": [USER]}
    assert client.post(f"{PATH}/", json=asked).status_code == 200
    assert client.post(f"/api/generations/{generation}/cancel/").status_code == 200


@pytest.mark.parametrize("given_", ["a", "x" * 128, "A-Z_0.9"])
def test_a_sane_request_id_is_kept(server: RunningServer, given_: str) -> None:
    for path in ("/v1/models", "/v1/nonesuch", "/api/health"):
        assert server.client().get(path, headers={"X-Request-Id": given_}).headers["x-request-id"] == given_
    assert server.anonymous().get("/v1/models", headers={"X-Request-Id": given_}).headers["x-request-id"] == given_


@pytest.mark.parametrize("given_", ["", "x" * 129, "a b", "a/b", "<script>", "caf\u00e9", "a\tb", '"', "a,b"])
def test_another_request_id_is_replaced(server: RunningServer, given_: str) -> None:
    answer = server.client().get("/v1/models", headers=[(b"X-Request-Id", given_.encode())])
    made = answer.headers["x-request-id"]
    assert made != given_
    assert 1 <= len(made) <= 128


def test_every_answer_has_a_request_id_of_its_own(server: RunningServer) -> None:
    client = server.client()
    answers = [
        client.get("/v1/models"),
        client.get("/v1/nonesuch"),
        client.post(PATH, content=b"{"),
        client.delete(PATH),
        server.anonymous().get("/v1/models"),
        client.get("/v1/models", headers={"Host": "evil.example.org"}),
        chat(client, stream=True),
        chat(client, script={"fault": {"kind": "status", "status": 500}}),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 400, 405, 401, 421, 200, 502]
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


@pytest.mark.promise(41)
@pytest.mark.parametrize(
    "host", ["evil.example.org", "evil.example.org:80", "localhost.evil.example.org", "1.2.3.4", "", "x y"]
)
def test_another_host_is_421(server: RunningServer, upstream: FakeUpstream, host: str) -> None:
    with nothing_happens(server, upstream):
        answer = server.client().post(PATH, json={"messages": [USER]}, headers={"Host": host})
        refusal(answer, 421, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST", "a.localhost"])
def test_loopback_goes_by_many_names(server: RunningServer, host: str) -> None:
    assert server.client().get("/v1/models", headers={"Host": host}).status_code == 200


def test_two_hosts_or_none_are_refused(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for hosts in ("", "Host: localhost\r\nHost: evil.example.org\r\n"):
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(f"GET /api/health HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
            assert raw.recv(65536).startswith(b"HTTP/1.1 400 ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([
    "model", "messages", "stream", "temperature", "n", "stop", "tools", "tool_choice", "stream_options", "max_tokens",
    "response_format", "logit_bias", "save_to_db", "priority", "fallbacks", "conversation_id", "saveToDb", "topP",
    "user", "script", "metadata", "functions", "function_call", "store", "api_provider", "anything",
])  # fmt: skip
MESSAGES = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "name", "tool_calls", "tool_call_id", "reasoning_details", "extra"]),
        JSON | st.sampled_from(["user", "assistant", "tool"]),
        max_size=4,
    ),
    max_size=3,
)


@pytest.mark.promise(39)
@under(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, JSON, max_size=6), MESSAGES | st.just([USER]))
def test_no_body_is_an_incident(server: RunningServer, fields: dict[str, Any], messages: list[Any]) -> None:
    body = {"model": "fake/echo", "messages": messages, **fields}
    data = json.dumps(body).encode("utf-8", "surrogatepass")
    answer = server.client("fuzzer").post(PATH, content=data)
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["error"]["code"] in {
            *("invalid", "malformed_json", "model_not_found", "unsupported_parameter", "unknown_tool", "plan_forbids"),
            "attachment_too_large",
        }
