"""What a provider's errors mean, whatever their shape; and what of them a caller never sees."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.kernel.secret import Secret
from tertulia.net.transport import Broken, Malformed, Oversized, Silent, TransportError, Unreachable, Unsendable
from tertulia.providers.failures import failure_in_stream, failure_of, failure_of_transport
from tertulia.providers.port import Failure
from tertulia.providers.redaction import MESSAGE_CAP, Scrub, redacted


def failed(status: int, body: Any = None, **headers: str) -> Failure:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return failure_of(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


@pytest.mark.parametrize(
    ("status", "code", "retry", "fallback", "breaker", "key"),
    [
        (301, "upstream_error", False, True, False, "keep"),
        (400, "invalid", False, False, False, "keep"),
        (401, "upstream_error", False, True, False, "cool"),
        (402, "upstream_error", False, True, False, "disable"),
        (403, "upstream_error", False, True, False, "keep"),
        (404, "model_not_found", False, True, False, "keep"),
        (405, "upstream_error", False, True, False, "keep"),
        (408, "upstream_timeout", True, True, True, "keep"),
        (409, "upstream_error", True, True, False, "keep"),
        (413, "body_too_large", False, False, False, "keep"),
        (422, "invalid", False, False, False, "keep"),
        (424, "upstream_error", True, True, True, "keep"),
        (429, "rate_limited", True, True, False, "cool"),
        (498, "upstream_error", True, True, False, "keep"),
        (499, "upstream_error", False, False, False, "keep"),
        (500, "upstream_error", True, True, True, "keep"),
        (502, "upstream_error", True, True, True, "keep"),
        (503, "provider_unavailable", True, True, True, "keep"),
        (504, "upstream_error", True, True, True, "keep"),
        (524, "upstream_error", True, True, True, "keep"),
        (529, "provider_unavailable", True, True, True, "keep"),
    ],
)
def test_classes_by_status(status, code, retry, fallback, breaker, key):
    failure = failed(status)
    assert (failure.fault.code, failure.status) == (code, status)
    assert (failure.retry, failure.fallback, failure.breaker, failure.key) == (retry, fallback, breaker, key)
    assert str(status) in failure.fault.message


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (
            400,
            {"error": {"message": "m", "type": "invalid_request_error", "code": "context_length_exceeded"}},
            "context_length_exceeded",
        ),
        (400, {"error": {"code": 400, "message": "m", "type": "exceed_context_size_error"}}, "context_length_exceeded"),
        (400, {"error": {"message": "This model's maximum context length is 8192 tokens."}}, "context_length_exceeded"),
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
            "context_length_exceeded",
        ),
        (
            400,
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "The input token count (9) exceeds the maximum",
                }
            },
            "context_length_exceeded",
        ),
        (
            400,
            {
                "error": {
                    "code": "content_filter",
                    "message": "m",
                    "innererror": {"code": "ResponsibleAIPolicyViolation"},
                }
            },
            "content_blocked",
        ),
        (403, {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["hate"]}}}, "content_blocked"),
        (
            429,
            {"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}},
            "upstream_error",
        ),
        (
            429,
            {
                "type": "error",
                "error": {
                    "type": "rate_limit_error",
                    "message": "m",
                    "details": {"error_code": "enforced_spend_limit_reached"},
                },
            },
            "upstream_error",
        ),
        (
            400,
            {"error": {"code": 400, "message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}},
            "upstream_error",
        ),
        (400, {"error": {"message": "m", "code": "model_not_found"}}, "model_not_found"),
        (400, {"type": "error", "error": {"message": "Your credit balance is too low."}}, "upstream_error"),
    ],
)
def test_an_errors_own_words_say_more_than_its_status(status, body, code):
    failure = failed(status, body)
    assert failure.fault.code == code
    assert failure.retry is False


def test_spent_quota_disables_the_key():
    assert failed(429, {"error": {"code": "insufficient_quota"}}).key == "disable"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "bad thing", "type": "t", "param": "top_p", "code": None}}, "bad thing"),
        ({"error": "bad thing"}, "bad thing"),
        ({"code": "x", "error": "bad thing"}, "bad thing"),
        ({"message": "bad thing", "id": "i"}, "bad thing"),
        ({"detail": "bad thing"}, "bad thing"),
        ({"detail": {"msg": "bad thing"}}, "bad thing"),
        ({"detail": [{"loc": ["body", "top_p"], "msg": "bad thing", "type": "t"}]}, "body.top_p: bad thing"),
        ({"fault": {"faultstring": "bad thing"}}, "bad thing"),
        ({"object": "error", "message": "bad thing", "type": "t", "param": None, "code": 3280}, "bad thing"),
        ([{"error": {"code": 400, "message": "bad thing"}}], "bad thing"),
        (b"bad thing", "bad thing"),
        (b'"bad thing"', "bad thing"),
    ],
)
def test_every_shape_of_body_gives_its_sentence(body, message):
    assert failed(400, body).fault.message == message


@pytest.mark.parametrize(
    "body",
    [b"", b"<html><h1>Bad gateway</h1></html>", b"{", b"[]", b"null", b"[" * 200_000, b"\xff\xfe", b'{"error":{}}'],
)
def test_a_body_that_says_nothing_gives_the_status(body):
    failure = failed(502, body)
    assert failure.fault.code == "upstream_error"
    assert failure.fault.message.startswith("The provider answered 502")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "message", "detail", "code", "type", "status", "details", "metadata", "loc", "param"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from([400, 403, 404, 429, 500]),
)
def test_no_shape_at_all_breaks_the_map(body, status):
    assert failed(status, body).status == status
    assert failure_in_stream(body).fault.code


def test_param_and_code_are_told():
    failure = failed(400, {"error": {"message": "m", "param": "top_p", "code": "unsupported_value"}})
    assert failure.fault.details == {"upstream_status": 400, "upstream_code": "unsupported_value", "param": "top_p"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "1e99"}, 86_400.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers, seconds):
    assert failed(429, None, **headers).retry_after == seconds


def test_how_long_to_wait_as_a_date():
    late = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    wait = failed(429, None, retry_after=late).retry_after
    assert wait is not None
    assert 50 < wait <= 60
    assert (
        failed(429, None, retry_after=format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)).retry_after == 0
    )


def test_how_long_to_wait_in_geminis_details():
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    body = {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}}
    assert failed(429, body).retry_after == 34.5


@pytest.mark.parametrize(
    ("error", "answering", "code"),
    [
        (Silent("s"), False, "upstream_timeout"),
        (Silent("s"), True, "upstream_timeout"),
        (Unreachable("s"), False, "provider_unavailable"),
        (Broken("s"), False, "upstream_error"),
        (Broken("s"), True, "upstream_truncated"),
        (Malformed("s"), False, "upstream_invalid"),
        (Oversized("s"), True, "upstream_invalid"),
        (Unsendable("s"), False, "upstream_error"),
    ],
)
def test_broken_exchanges(error: TransportError, answering, code):
    assert failure_of_transport(error, answering=answering).fault.code == code


CANARY = "cAnArY0123456789abcdefABCDEF456789xyz"


@pytest.mark.promise(36)
@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: sk-{CANARY}.",
        f"Authorization: Bearer {CANARY}",
        f"failed: GET https://api.example/v1/models?key={CANARY}&alt=sse",
        f'{{"api_key": "{CANARY}"}}',
        f"x-api-key={CANARY}",
        f"token gsk_{CANARY} refused",
        f"AIza{CANARY}",
        CANARY,
        f"AKIA{CANARY.upper()}",
        f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
        f"password: {CANARY}",
        "x" * (MESSAGE_CAP - 20) + f" sk-{CANARY}",
    ],
)
def test_keys_do_not_come_through(text):
    assert "cAnArY" not in redacted(text)
    assert "CANARY" not in redacted(text)
    for failure in (failed(400, {"error": {"message": text, "code": text, "param": text}}), failed(500, text.encode())):
        assert "canary" not in repr(failure).lower()


@pytest.mark.promise(36)
@pytest.mark.parametrize(
    "text",
    ["dial tcp 10.1.2.3:9000: refused", "http://inner.example:8000/v1 said no", "lookup gpu-7.rack.example:8443"],
)
def test_addresses_do_not_come_through(text):
    shown = redacted(text)
    assert not {"10.1.2.3", "inner.example", "gpu-7.rack.example"} & set(
        shown.replace(":", " ").replace("/", " ").split()
    )
    assert "[" in shown


@pytest.mark.promise(36)
@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=9, max_size=40), st.integers(900, 1010))
def test_the_key_in_use_does_not_come_through_even_where_the_cap_cuts_it(key, start):
    message = redacted("." * start + key)
    failure = failure_in_stream({"message": message})
    shown = Scrub(Secret(key), "http://gpu.example/v1").failure(failure)
    assert key[:8] not in shown.fault.message


def test_the_hosts_own_name_does_not_come_through():
    failure = failure_in_stream({"message": "gpu-7.rack.example is down"})
    assert Scrub(None, "https://gpu-7.rack.example/v1").failure(failure).fault.message == "*** is down"


def test_a_short_key_masks_no_other_words():
    failure = failure_in_stream({"message": "context x is text, key=x"})
    assert Scrub(Secret("x"), "").failure(failure).fault.message == "context *** is text, key=***"
    assert Scrub(None, "").failure(failure) == failure


@pytest.mark.parametrize(
    "text",
    [
        "The model `meta-llama/Llama-3.3-70B-Instruct-Turbo-Free` does not exist.",
        "max_tokens: 5000 is above 4096, the most that claude-3-haiku-20240307 allows",
        "Unrecognized request argument supplied: frobnicate",
    ],
)
def test_what_a_caller_needs_stays(text):
    assert redacted(text) == text


def test_long_texts_are_cut():
    assert len(failed(400, {"error": {"message": "lamp " * 9999}}).fault.message) == MESSAGE_CAP + 1
