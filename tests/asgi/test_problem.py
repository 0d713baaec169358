import msgspec
import pytest

from tertulia.asgi.problem import answer_to, body_of, form_of_path, status_of
from tertulia.generation.failed import GenerationFailed
from tertulia.kernel.errors import Invalid, Kind, NotFound, TertuliaError
from tertulia.turn.events import Ended, Fault, Started
from tertulia.wire.statuses import STATUS, anthropic_type, openai_type

STARTED = Started("00000000-0000-7000-8000-000000000000", "m", 0)


def error(kind: Kind, code: str, message: str = "why", **more) -> TertuliaError:
    made = type("Made", (TertuliaError,), {"kind": kind})(message, **more)
    made.code = code
    return made


def headers(answer) -> dict[bytes, bytes]:
    return dict(answer.headers)


def test_every_kind_has_a_status():
    for kind in Kind:
        assert 400 <= status_of(error(kind, "not_in_the_contract"), "tertulia") <= 504


@pytest.mark.parametrize(("code", "status"), sorted(STATUS.items()))
def test_a_code_has_its_status_whatever_its_kind(code: str, status: int):
    assert status_of(error(Kind.INTERNAL, code), "openai") == status
    assert status_of(error(Kind.INTERNAL, code), "tertulia") == (422 if code == "invalid" else status)


@pytest.mark.parametrize(("code", "status"), sorted(STATUS.items()))
def test_an_error_that_is_raised_and_one_that_a_stream_ends_with_have_one_type(code: str, status: int):
    made = error(Kind.INTERNAL, code)
    assert body_of(made, "openai", "r")["error"]["type"] == openai_type(status)
    assert body_of(made, "anthropic", "r")["error"]["type"] == anthropic_type(status)


def test_invalid_is_400_on_the_faces_of_others_and_the_other_codes_of_422_are_not():
    assert status_of(Invalid("x"), "tertulia") == 422
    assert status_of(Invalid("x"), "openai") == 400
    assert status_of(Invalid("x"), "anthropic") == 400
    assert status_of(error(Kind.INVALID, "idempotency_key_reused"), "openai") == 422


def test_our_form():
    body = body_of(Invalid("too long", path="messages.0.content"), "tertulia", "r-1")
    assert body == {
        "error": {
            "code": "invalid",
            "message": "too long",
            "details": [{"path": "messages.0.content", "message": "too long"}],
        },
        "requestId": "r-1",
    }


def test_openais_form():
    body = body_of(Invalid("too long", path="messages.0.content"), "openai", "r-1")["error"]
    assert body["type"] == "invalid_request_error"
    assert (body["param"], body["code"], body["request_id"]) == ("messages", "invalid", "r-1")
    assert body_of(NotFound("no"), "openai", "r")["error"]["param"] is None


@pytest.mark.parametrize(
    ("code", "openai", "anthropic"),
    [
        ("missing_credential", "authentication_error", "authentication_error"),
        ("insufficient_credits", "insufficient_quota", "billing_error"),
        ("forbidden", "permission_error", "permission_error"),
        ("model_not_found", "invalid_request_error", "not_found_error"),
        ("version_conflict", "invalid_request_error", "invalid_request_error"),
        ("body_too_large", "invalid_request_error", "request_too_large"),
        ("rate_limited", "rate_limit_error", "rate_limit_error"),
        ("internal", "server_error", "api_error"),
        ("overloaded", "server_error", "overloaded_error"),
        ("upstream_timeout", "server_error", "timeout_error"),
    ],
)
def test_the_types_of_others(code: str, openai: str, anthropic: str):
    made = error(Kind.INTERNAL, code)
    assert body_of(made, "openai", "r")["error"]["type"] == openai
    whole = body_of(made, "anthropic", "r")
    assert (whole["type"], whole["error"]["type"], whole["request_id"]) == ("error", anthropic, "r")


def test_who_must_wait_is_told_how_long_in_whole_seconds():
    assert (
        headers(answer_to(error(Kind.LIMITED, "rate_limited", retry_after=1.2), "openai", "r"))[b"retry-after"] == b"2"
    )
    assert headers(answer_to(error(Kind.UNAVAILABLE, "draining"), "tertulia", "r"))[b"retry-after"] == b"1"
    assert headers(answer_to(error(Kind.LIMITED, "queue_full", retry_after=0), "openai", "r"))[b"retry-after"] == b"1"
    assert b"retry-after" not in headers(answer_to(NotFound("x"), "openai", "r"))


@pytest.mark.parametrize(
    ("made", "paid"),
    [
        (error(Kind.CONFLICT, "version_conflict"), True),
        (error(Kind.CONFLICT, "idempotency_in_progress", details={"generationId": "g"}), False),
        (error(Kind.UPSTREAM, "upstream_error"), True),
        (error(Kind.UPSTREAM_TIMEOUT, "upstream_timeout"), True),
        (error(Kind.UNAVAILABLE, "provider_unavailable"), False),
        (GenerationFailed(STARTED, Ended("failed", fault=Fault("provider_unavailable", "x"), provider="up")), True),
        (GenerationFailed(STARTED, Ended("failed", fault=Fault("overloaded", "x"))), False),
        (error(Kind.LIMITED, "rate_limited"), False),
    ],
)
def test_clients_that_retry_by_themselves_are_kept_from_paying_twice(made: TertuliaError, *, paid: bool):
    assert (headers(answer_to(made, "openai", "r")).get(b"x-should-retry") == b"false") is paid


def test_in_progress_says_when_to_come_back():
    made = error(Kind.CONFLICT, "idempotency_in_progress", retry_after=3)
    assert headers(answer_to(made, "tertulia", "r"))[b"retry-after"] == b"3"


@pytest.mark.parametrize("form", ["openai", "tertulia", "anthropic"])
def test_an_error_is_safe_inside_html_and_still_the_same_text(form):
    message = "<script>alert(1)</script> & 'more'"
    body = answer_to(NotFound(message), form, "r").body
    assert not set(b"<>&") & set(body)
    assert msgspec.json.decode(body)["error"]["message"] == message


def test_details_that_are_no_json_do_not_hide_the_error():
    body = answer_to(NotFound("x", details={"what": object()}), "tertulia", "r").body
    assert msgspec.json.decode(body)["error"]["code"] == "not_found"


def test_a_path_without_a_route_has_a_form_too():
    assert form_of_path("/v1/messages/x") == "anthropic"
    assert form_of_path("/v1/zzz") == "openai"
    assert form_of_path("/api/v1/characters") == form_of_path("/v1x") == "tertulia"
