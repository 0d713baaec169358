import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any, Literal

import msgspec
import pytest

from tertulia.asgi.docs import docs_answer, page
from tertulia.asgi.openapi import describe, error_codes, openapi_document
from tertulia.asgi.problem import STATUS
from tertulia.asgi.route import Parameter
from tests.asgi.live import route


class Part(msgspec.Struct):
    """One part of a message."""

    text: str
    kind: Literal["text", "image"] = "text"


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked."""

    parts: list[Part]
    model: str | None = None
    extra: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    raw: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Reply(msgspec.Struct):
    """What is answered, with `<b>` in its description."""

    text: str


async def nothing(_):
    return None


ROUTES = (
    route(
        "/v1/chat/completions", nothing, "POST", access="user", scope="chat", meter="generation", form="openai",
        body=Question, answer=Reply, answer_type="application/json, text/event-stream", tags=("OpenAI",),
        summary="Complete <b>a</b> chat", description="One.\n\nTwo with `code`.", errors=("model_not_found",),
        parameters=(Parameter("X-Provider-Key", where="header", summary="Your own"),),
    ),
    route("/v1/messages", nothing, "POST", access="user", meter="generation", form="anthropic", body=Question),
    route("/v1/models/{id:path}", nothing, access="user", scope="read", form="openai", answer=Reply),
    route("/api/things/{id}", nothing, access="user", answer=list[Reply], tags=("Things",)),
    route("/api/things/{id}", nothing, "PUT", access="admin", body=dict[str, int], status=204, tags=("Things",)),
    route("/api/list", nothing, access="user", parameters=(Parameter("page", int), Parameter("limit", int))),
    route("/api/files", nothing, "POST", access="user", body_type="multipart/form-data", status=201),
    route("/api/health", nothing, answer=Reply),
    route("/api/secret", nothing, hidden=True),
)  # fmt: skip


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return msgspec.json.decode(openapi_document(ROUTES))


def walk(value: Any):
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


def test_the_structure_is_openapis(document: dict[str, Any]):
    assert document["openapi"] == "3.1.0"
    assert {"title", "version"} <= document["info"].keys()
    ids = set()
    for path, methods in document["paths"].items():
        names = re.findall(r"\{(\w+)\}", path)
        assert path.startswith("/")
        assert ":path" not in path
        for method, operation in methods.items():
            assert method in {"get", "post", "put", "patch", "delete"}
            assert [each["name"] for each in operation["parameters"] if each["in"] == "path"] == names
            assert all(each["required"] for each in operation["parameters"] if each["in"] == "path")
            assert all(re.fullmatch(r"[1-5]\d\d", status) for status in operation["responses"])
            assert all(answer["description"] for answer in operation["responses"].values())
            ids.add(operation["operationId"])
    assert len(ids) == len(ROUTES) - 1
    assert all(re.fullmatch(r"\w+", each) for each in ids)


def test_every_reference_leads_somewhere(document: dict[str, Any]):
    references = [each["$ref"] for each in walk(document) if isinstance(each, dict) and "$ref" in each]
    assert references
    for reference in references:
        _, _, kind, name = reference.split("/")
        assert name in document["components"][kind]
    schemes = document["components"]["securitySchemes"]
    assert all(name in schemes for each in document["security"] for name in each)


def test_every_route_but_the_hidden_is_described(document: dict[str, Any]):
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(each.method, each.path.replace(":path", "")) for each in ROUTES if not each.hidden}


def test_bodies_and_answers_are_described(document: dict[str, Any]):
    chat = document["paths"]["/v1/chat/completions"]["post"]
    assert chat["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Question"}
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    question = document["components"]["schemas"]["Question"]
    assert question["required"] == ["parts"]
    assert question["additionalProperties"] is False
    assert document["components"]["schemas"]["Part"]["properties"]["kind"]["enum"] == ["image", "text"]
    things = document["paths"]["/api/things/{id}"]
    assert things["get"]["responses"]["200"]["content"]["application/json"]["schema"]["type"] == "array"
    assert "content" not in things["put"]["responses"]["204"]
    upload = document["paths"]["/api/files"]["post"]["requestBody"]["content"]
    assert list(upload) == ["multipart/form-data"]


def test_errors_are_described_in_the_form_of_their_face(document: dict[str, Any]):
    chat = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert "`invalid`" in chat["400"]["description"]
    assert "`model_not_found`" in chat["404"]["description"]
    assert "`rate_limited`" in chat["429"]["description"]
    assert chat["401"]["content"]["application/json"]["schema"]["$ref"].endswith("/OpenAIError")
    thing = document["paths"]["/api/things/{id}"]["put"]["responses"]
    assert "`invalid`" in thing["422"]["description"]
    assert thing["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/Error")
    message = document["paths"]["/v1/messages"]["post"]["responses"]
    assert message["401"]["content"]["application/json"]["schema"]["$ref"].endswith("/AnthropicError")
    assert document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"] == sorted(
        STATUS
    )


def test_who_may_is_described(document: dict[str, Any]):
    chat = document["paths"]["/v1/chat/completions"]["post"]
    assert (chat["x-access"], chat["x-scope"], chat["x-meter"]) == ("user", "chat", "generation")
    assert document["paths"]["/api/health"]["get"]["security"] == []
    assert "security" not in chat


def test_a_code_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="no_such_code"):
        describe([route("/a", nothing, errors=("no_such_code",))])
    assert "no_such_code" in error_codes(route("/a", nothing, errors=("no_such_code",)))


class Reader(HTMLParser):
    """Reads a page strictly enough to see what is open, what it names and what it would load."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        given = dict(attrs)
        self.attributes |= set(given)
        self.links += filter(None, [given.get("href")])
        self.ids += filter(None, [given.get("id")])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def read() -> Reader:
    reader = Reader()
    reader.feed(docs_answer(ROUTES).body.decode())
    reader.close()
    return reader


def test_the_page_is_well_formed_and_its_links_lead_somewhere(read: Reader):
    assert read.open == []
    assert len(set(read.ids)) == len(read.ids)
    assert {link for link in read.links if link.startswith("#")} <= {f"#{each}" for each in read.ids}
    assert [link for link in read.links if not link.startswith("#")] == ["/openapi.json"]


def test_the_page_runs_nothing_and_loads_nothing(read: Reader):
    assert not read.tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "svg", "video"}
    assert not any(each.startswith("on") or each in {"src", "style", "srcset"} for each in read.attributes)
    assert b"url(" not in docs_answer(ROUTES).body
    assert b"@import" not in docs_answer(ROUTES).body


@pytest.mark.promise(35)
def test_the_policy_allows_this_one_style_and_nothing_else():
    answer = docs_answer(ROUTES)
    headers = dict(answer.headers)
    style = answer.body.decode().partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = headers[b"content-security-policy"].decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.content_type == b"text/html; charset=utf-8"


def test_what_routes_say_is_text_and_not_markup():
    html = page(describe(ROUTES))
    assert "Complete &lt;b&gt;a&lt;/b&gt; chat" in html
    assert "<code>&lt;b&gt;</code>" in html
    assert "<p>Two with <code>code</code>.</p>" in html
    for each in ROUTES:
        assert (each.path.replace(":path", "") in html) is not each.hidden


def test_the_page_is_read_in_light_and_in_dark():
    assert b"prefers-color-scheme: dark" in docs_answer(ROUTES).body
