"""The door through a real server: access, hosts, CORS, forms of errors, what every answer carries."""

import asyncio
import json

import msgspec
import pytest

from tertulia.asgi.body import JsonBody
from tertulia.asgi.exchange import Answer, json_answer
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.kernel.errors import Kind, TertuliaError
from tests.asgi.live import GRACE, Live, Reply, request, route, served, until


class Note(msgspec.Struct, forbid_unknown_fields=True):
    text: str


NOTE = JsonBody(Note)


class Full(TertuliaError):
    kind = Kind.LIMITED
    code = "queue_full"


async def hello(exchange):
    return json_answer(
        {"name": exchange.principal.name, "params": dict(exchange.params), "query": dict(exchange.query)}
    )


async def who(exchange):
    return json_answer({"caller": exchange.caller.name if exchange.caller else None})


async def note(exchange):
    read = await NOTE.read(exchange)
    return json_answer({"text": read.text}, 201, [(b"etag", b'"1"')])


async def defect(_):
    raise KeyError("sk-secret-canary")


async def full(exchange):
    exchange.add_header(b"x-ratelimit-limit-requests", b"3")
    raise Full("Too many wait.", retry_after=2.5)


async def silent(_):
    return None


async def split(_):
    return Answer(200, b"", headers=((b"x-a", b"1\r\nx-b: 2"),))


async def asset(_):
    return Answer(200, b"body{}", b"text/css", ((b"cache-control", b"public, max-age=31536000, immutable"),))


async def index(exchange):
    return Answer(200, b"<!doctype html>" + exchange.path.encode(), b"text/html")


async def address(exchange):
    return json_answer([exchange.client, exchange.scheme])


ROUTES = (
    route("/api/hello", hello, access="user"),
    route("/api/things/{id}", hello, access="user"),
    route("/api/things/{id}", note, "PUT", access="user"),
    route("/api/who", who),
    route("/api/notes", note, "POST", access="user", scope="chat"),
    route("/v1/notes", note, "POST", access="user", form="openai"),
    route("/v1/messages", note, "POST", access="user", form="anthropic"),
    route("/api/admin", hello, access="admin"),
    route("/api/watch", hello, access="supervisor"),
    route("/api/jobs", hello, access="user", scope="jobs"),
    route("/api/defect", defect),
    route("/api/full", full),
    route("/api/silent", silent),
    route("/api/split", split),
    route("/api/asset", asset),
    route("/api/address", address),
)
BEARER = "Authorization: Bearer ada-key"
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def live():
    settings = ServerSettings(
        port=0,
        cors_origins=("https://chat.example.org",),
        allowed_hosts=("tertulia.example.org", "*.wild.example"),
        public_url="https://public.example:8443/x",
        trusted_proxies=("127.0.0.1",),
    )
    with served(*ROUTES, server=settings, fallback=index) as made:
        yield made


def test_an_answer_carries_what_every_answer_carries(live: Live):
    answer = live.get("/api/hello?a=1&b=%C3%A4&a=2&c", BEARER)
    assert answer.status == 200
    assert answer.json == {"name": "ada", "params": {}, "query": {"a": "2", "b": "ä", "c": ""}}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["server"] == "tertulia"
    assert answer.headers["date"].endswith(" GMT")
    assert answer.headers["x-request-id"]
    assert len(answer.lines) == len(answer.headers), "a header stands there twice"


def test_an_answer_may_be_kept_where_its_route_says_so(live: Live):
    assert live.get("/api/asset").headers["cache-control"] == "public, max-age=31536000, immutable"


def test_a_sane_request_id_is_taken_over_and_no_other(live: Live):
    assert live.get("/api/who", "X-Request-Id: a.B-3_").headers["x-request-id"] == "a.B-3_"
    for bad in ("a b", "x" * 129, "<i>", "ä"):
        assert live.get("/api/who", f"X-Request-Id: {bad}").headers["x-request-id"] != bad
    made = {live.get("/api/who").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert live.get("/api/hello", "X-Request-Id: r-77").json["requestId"] == "r-77"


@pytest.mark.promise(34)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_credential"),
        (["Authorization: Bearer "], "missing_credential"),
        (["Authorization: Basic YWRhOmtleQ=="], "missing_credential"),
        (["Authorization: Bearer nobody"], "invalid_credential"),
        (["X-API-Key: nobody"], "invalid_credential"),
        (["X-API-Key: old-key"], "expired_credential"),
        (["Authorization: Bearer ada-key", "Authorization: Bearer ada-key"], "invalid_credential"),
        (["X-API-Key: ada-key", "X-API-Key: grace-key"], "invalid_credential"),
        (["Authorization: Bearer ada-key", "X-API-Key: grace-key"], "invalid_credential"),
        (["Authorization: Bearer ada-key", "X-API-Key: nobody"], "invalid_credential"),
        (["Authorization: Bearer ada-k\xffy"], "invalid_credential"),
        (["Authorization: Bearer " + "x" * 9000], "invalid_credential"),
    ],
)
def test_who_is_not_known_is_refused(live: Live, headers: list[str], code: str):
    answer = live.get("/api/hello", *headers)
    assert (answer.status, answer.code) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        ["Authorization: Bearer ada-key"],
        ["authorization: bearer  ada-key "],
        ["X-API-Key: ada-key"],
        ["X-API-Key: ada-other-key"],
        ["Authorization: Bearer ada-key", "X-API-Key: ada-key"],
        ["Authorization: Bearer ada-key", "X-API-Key: ada-other-key"],
        ["Authorization: Basic YWRhOmtleQ==", "X-API-Key: ada-key"],
    ],
)
def test_a_good_credential_serves_on_every_channel(live: Live, headers: list[str]):
    assert live.get("/api/hello", *headers).json["name"] == "ada"


def test_an_open_route_knows_who_calls_it_and_forgives_a_bad_credential(live: Live):
    assert live.get("/api/who").json == {"caller": None}
    assert live.get("/api/who", BEARER).json == {"caller": "ada"}
    assert live.get("/api/who", "X-API-Key: ada-other-key").json == {"caller": "ada"}
    assert live.get("/api/who", "Authorization: Bearer nobody").json == {"caller": None}


def test_roles_and_scopes_are_required(live: Live):
    assert live.get("/api/admin", BEARER).code == "forbidden"
    assert live.get("/api/watch", BEARER).status == 403
    assert live.get("/api/jobs", BEARER).status == 403
    assert live.get("/api/admin", "X-API-Key: grace-key").status == 200
    assert live.get("/api/watch", "X-API-Key: grace-key").status == 200
    assert live.get("/api/jobs", "X-API-Key: grace-key").status == 403  # a role is no scope


def test_what_is_unknown_is_401_to_strangers_and_404_to_others(live: Live):
    for path in ("/api/none", "/v1/none", "/v1/messages/none", "/ws", "/metrics", "/inference/x", "/.well-known/x"):
        assert live.get(path).status == 401
        assert live.get(path, BEARER).status == 404
        assert live.get(path, "X-API-Key: nobody").status == 401
    assert live.get("/v1/none", BEARER).json["error"]["type"] == "invalid_request_error"
    assert live.get("/v1/messages/none", BEARER).json["type"] == "error"


def test_the_page_has_the_paths_that_are_not_the_apis(live: Live):
    for path in ("/", "/sessions/7", "/apis", "/v1beta", "/healthy"):
        answer = live.get(path)
        assert (answer.status, answer.body) == (200, b"<!doctype html>" + path.encode())
    assert live.get("/", method="HEAD").status == 200
    assert live.get("/sessions", method="POST").status == 404


def test_another_method_is_refused_by_name(live: Live):
    answer = live.get("/api/things/7", BEARER, method="DELETE")
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", "GET, HEAD, PUT")
    assert live.get("/api/things/7", method="DELETE").status == 401
    assert live.get("/api/who", method="POST").status == 405  # it is open, so its methods are no secret
    assert live.get("/api/hello", BEARER, method="OPTIONS").status == 405


def test_head_is_get_without_a_body(live: Live):
    got, head = live.get("/api/hello", BEARER), live.get("/api/hello", BEARER, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))


def test_a_trailing_slash_makes_no_difference(live: Live):
    assert live.get("/api/hello/", BEARER).status == 200
    assert live.get("/api/things/7/", BEARER).json["params"] == {"id": "7"}


@pytest.mark.promise(41)
@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "app.localhost", "127.0.0.1", "127.8.9.1:80", "[::1]:8000", "tertulia.example.org",
     "a.b.wild.example", "public.example:8443", "public.example.", "localhost."],
)  # fmt: skip
def test_hosts_that_are_ours(live: Live, host: str):
    assert live.get("/api/who", f"Host: {host}").status == 200


@pytest.mark.promise(41)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "wild.example", "notlocalhost", "192.168.0.1", "2130706433", "",
     "0.0.0.0", "tertulia.example.org.evil.example", "[::ffff:8.8.8.8]", "x" * 300],
)  # fmt: skip
def test_hosts_that_are_not(live: Live, host: str):
    answer = live.get("/api/hello", BEARER, f"Host: {host}")
    assert (answer.status, answer.code) == (421, "host_not_allowed")


def test_one_host_header_is_needed(live: Live):
    twice = live.get("/api/who", "Host: localhost", "Host: evil.example")
    assert twice.status == 400
    assert live.ask(b"GET /api/who HTTP/1.1\r\n\r\n")[0].status == 400
    assert live.ask(b"GET /api/who HTTP/1.0\r\n\r\n")[0].status == 200


def test_the_target_in_full_names_the_host(live: Live):
    assert live.ask(b"GET http://localhost/api/who HTTP/1.1\r\nHost: evil.example\r\n\r\n")[0].status == 200
    assert live.ask(b"GET http://evil.example/api/who HTTP/1.1\r\nHost: localhost\r\n\r\n")[0].status == 421


ORIGIN = "Origin: https://chat.example.org"


def test_an_origin_that_is_configured_may_read(live: Live):
    for path in ("/api/who", "/api/hello", "/api/defect"):
        headers = live.get(path, ORIGIN).headers
        assert headers["access-control-allow-origin"] == "https://chat.example.org"
        assert headers["access-control-allow-credentials"] == "true"
        assert headers["vary"] == "origin"
        exposed = headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "x-generation-id", "retry-after", "etag", "x-model"} <= set(exposed)


def test_no_other_origin_may(live: Live):
    for origin in ("https://evil.example", "null", "http://chat.example.org", "https://chat.example.org.evil.example"):
        headers = live.get("/api/who", f"Origin: {origin}").headers
        assert not any(name.startswith("access-control") for name in headers)
        assert headers["vary"] == "origin"


def test_a_preflight_needs_no_credential(live: Live):
    asks = ("Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization, x-api-key")
    answer = live.get("/api/things/7", ORIGIN, *asks, method="OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, PUT"
    assert answer.headers["access-control-allow-headers"] == "authorization, x-api-key"
    assert answer.headers["access-control-allow-origin"] == "https://chat.example.org"
    assert "content-length" not in answer.headers
    refused = live.get("/api/things/7", "Origin: https://evil.example", *asks, method="OPTIONS")
    assert refused.status == 401
    assert not any(name.startswith("access-control") for name in refused.headers)


def test_any_origin_may_read_without_cookies_where_all_are_configured():
    with served(*ROUTES, server=ServerSettings(port=0, cors_origins=("*",))) as live:
        headers = live.get("/api/who", "Origin: https://anyone.example").headers
        assert headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/notes", b'{"text":"a","x":1}', 422, "invalid"),
        ("/v1/notes", b'{"text":"a","x":1}', 400, "invalid"),
        ("/v1/messages", b'{"text":1}', 400, "invalid"),
        ("/api/notes", b"{", 400, "malformed_json"),
        ("/v1/notes", b"[" * 1000, 400, "malformed_json"),
    ],
)
def test_bad_bodies(live: Live, path: str, body: bytes, status: int, code: str):
    answer = live.get(path, BEARER, JSON, method="POST", body=body)
    assert answer.status == status
    assert answer.json["error"]["code"] == code


def test_the_three_forms(live: Live):
    ours, openai, anthropic = (
        live.get(path, BEARER, JSON, "X-Request-Id: r", method="POST", body=b"{}").json
        for path in ("/api/notes", "/v1/notes", "/v1/messages")
    )
    detail = [{"path": "text", "message": "This field is required."}]
    message = "text: This field is required."
    assert ours == {"error": {"code": "invalid", "message": message, "details": detail}, "requestId": "r"}
    assert openai == {
        "error": {
            "message": message, "type": "invalid_request_error", "param": "text", "code": "invalid",
            "details": detail, "request_id": "r",
        }
    }  # fmt: skip
    assert anthropic["type"] == "error"
    assert anthropic["error"]["type"] == "invalid_request_error"
    assert anthropic["request_id"] == "r"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 201),
        (["Content-Type: application/json"], 201),
        (["Content-Type: Application/JSON ; charset=utf-8"], 201),
        (["Content-Type: application/json", "Content-Encoding: identity"], 201),
        (["Content-Type: text/plain"], 415),
        (["Content-Type: application/jsonx"], 415),
        (["Content-Type: application/x-www-form-urlencoded"], 415),
        (["Content-Type: application/json", "Content-Encoding: gzip"], 415),
        (["Content-Type: "], 415),
    ],
)
def test_media_types(live: Live, headers: list[str], status: int):
    answer = live.get("/api/notes", BEARER, *headers, method="POST", body=b'{"text":"a"}')
    assert answer.status == status
    if status == 415:
        assert answer.code == "unsupported_media_type"
    else:
        assert (answer.json, answer.headers["etag"]) == ({"text": "a"}, '"1"')


@pytest.mark.promise(39)
def test_a_defect_becomes_an_incident_and_says_nothing_else(live: Live):
    answer = live.get("/api/defect")
    assert (answer.status, answer.code) == (500, "internal")
    incident = answer.json["error"]["details"]["incident"]
    assert b"canary" not in answer.body
    assert b"KeyError" not in answer.body
    logged = next(each for each in live.recorder.errors if each.get("incident") == incident)
    assert isinstance(logged["exc_info"], KeyError)
    assert logged["request_id"] == answer.headers["x-request-id"]


def test_a_handler_that_does_nothing_is_a_defect(live: Live):
    assert live.get("/api/silent").code == "internal"


def test_a_header_cannot_be_split(live: Live):
    answer = live.get("/api/split")
    assert (answer.status, answer.code) == (500, "internal")
    assert "x-b" not in answer.headers


def test_headers_that_an_exchange_was_given_are_on_its_error_too(live: Live):
    answer = live.get("/api/full")
    assert (answer.status, answer.code) == (429, "queue_full")
    assert answer.headers["x-ratelimit-limit-requests"] == "3"
    assert answer.headers["retry-after"] == "3"


def test_a_query_with_a_nul_is_invalid(live: Live):
    assert live.get("/api/hello?q=a%00", BEARER).code == "invalid"


def test_a_trusted_proxy_says_who_asks(live: Live):
    assert live.get("/api/address").json == ["127.0.0.1", "http"]
    forwarded = ("X-Forwarded-For: 6.6.6.6, 198.51.100.4", "X-Forwarded-Proto: https")
    assert live.get("/api/address", *forwarded).json == ["198.51.100.4", "https"]


def test_every_exchange_is_observed_once():
    with served(*ROUTES, fallback=index) as live:
        for path in ("/api/who", "/api/none", "/api/defect", "/"):
            live.get(path)
        live.get("/api/who", "Host: evil.example")
        live.get("/api/who", method="HEAD")
    assert live.recorder.seen == [
        ("GET", "/api/who", 200),
        ("GET", "/api/none", 401),
        ("GET", "/api/defect", 500),
        ("GET", "/", 200),
        ("GET", "/api/who", 421),
        ("HEAD", "/api/who", 200),
    ]


def test_an_observer_that_fails_harms_nobody():
    def observe(*_):
        raise ZeroDivisionError

    with served(*ROUTES, observe=observe) as live:
        assert [answer.status for answer in live.ask(request("/api/who") * 3, answers=3)] == [200, 200, 200]
        until(lambda: [each["event"] for each in live.recorder.errors] == ["incident"] * 3)


class Cookies:
    async def principal(self, exchange):
        if exchange.header(b"cookie") != b"tertulia_session=s":
            return None
        await asyncio.sleep(0)
        return GRACE


def test_a_cookie_counts_where_no_header_names_a_credential():
    with served(*ROUTES, sessions=Cookies()) as live:
        cookie = "Cookie: tertulia_session=s"
        assert live.get("/api/hello", cookie).json["name"] == "grace"
        assert live.get("/api/hello", cookie, BEARER).json["name"] == "ada"
        assert live.get("/api/hello", cookie, "X-API-Key: nobody").status == 401
        assert live.get("/api/hello", "Cookie: x=y").code == "missing_credential"


def test_without_a_page_its_paths_are_nothing():
    with served(*ROUTES) as live:
        assert live.get("/").code == "not_found"


async def big(exchange):
    return json_answer(len(await exchange.body()))


def test_a_route_may_take_larger_bodies_than_others():
    routes = (route("/api/small", big, "POST"), route("/api/large", big, "POST", max_body_bytes=2000))
    with served(*routes, requests=RequestSettings(max_body_bytes=1000)) as live:
        assert live.get("/api/small", method="POST", body=b"x" * 1500).code == "body_too_large"
        assert live.get("/api/large", method="POST", body=b"x" * 1500).json == 1500
        assert live.get("/api/large", method="POST", body=b"x" * 2500).status == 413


@pytest.mark.promise(39)
def test_no_answer_of_random_requests_is_a_defect(live: Live):
    """Odd paths, methods and headers get an answer of the contract, whatever they are."""
    odd = [
        "/%",
        "/%zz",
        "/api/%c3%28",
        "/api/things/%2e%2e%2f",
        "/api/../..",
        "/?%00",
        "/api/hello?" + "a=b&" * 500,
        "/#x",
    ]
    for path in odd:
        for method in ("GET", "PUT", "PATCH", "TRACE", "PROPFIND"):
            answer: Reply = live.get(path, BEARER, method=method)
            assert answer.status < 500, (path, method)
            if answer.headers["content-type"] == "application/json" and answer.status >= 400:
                assert set(json.loads(answer.body)) <= {"error", "requestId"}
