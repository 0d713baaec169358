"""Credentials stay out of whatever is written (promise 36)."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.observability.redact import MASK, redact_fields, redact_text, redact_url

KEY = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=16, max_size=60)
PREFIX = st.sampled_from(["sk-", "tt-", "sk-proj-", "sk-ant-", "gsk_", "hf_", "xai-", "pk-"])
WORDS = st.text("abc .,:;\n\t\"'{}()[]<>=/", max_size=20)


@pytest.mark.promise(36)
@given(WORDS, PREFIX, KEY, WORDS)
def test_keys_within_texts_are_masked(before: str, prefix: str, key: str, after: str) -> None:
    secret = prefix + key
    assert secret not in redact_text(f"{before} {secret} {after}")
    assert secret not in redact_text(f"{before}Authorization: Bearer {secret}{after}")


@pytest.mark.promise(36)
@given(KEY)
def test_a_bearer_is_masked_whatever_it_looks_like(key: str) -> None:
    for form in (f"Authorization: Bearer {key}", f"'authorization': 'bearer {key}'", f"GET /?key={key} HTTP/1.1"):
        assert key not in redact_text(form)
    assert key not in redact_text(f"https://host.example.org/v1?token={key}&x=1")


@pytest.mark.promise(36)
@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "X-API-Key",
        "api_key",
        "apikey",
        "x-provider-key",
        "Cookie",
        "set-cookie",
        "password",
        "client_secret",
        "access_token",
        "token",
        "credential",
        "ticket",
    ],
)
def test_fields_that_are_named_like_credentials_are_masked(name: str) -> None:
    fields: dict[str, Any] = {
        name: "plain words",
        "deep": {"list": [{name: "plain words"}], name: ["plain words"]},
        "tuple": ({name: "plain words"},),
    }
    written = repr(redact_fields(fields))
    assert "plain words" not in written
    assert written.count(MASK) == 4


def test_what_is_no_credential_stays() -> None:
    fields = {
        "event": "request",
        "path": "/v1/models/up/echo",
        "status": 200,
        "tokens": 12,
        "token_count": 3,
        "model": "sk-8b",
        "text": "task-oriented; Bearer of news",
        "nothing": None,
        "nested": {"items": [1, "two", None]},
    }
    assert redact_fields(fields) == fields


@pytest.mark.promise(36)
@given(KEY)
def test_addresses_lose_their_passwords(secret: str) -> None:
    for url in (
        f"postgresql://me:{secret}@db.example.org:5432/chat",
        f"https://me:{secret}@host.example.org/v1?a=1",
        f"https://host.example.org/?api_key={secret}&b=2",
        f"postgresql://host/db?sslpassword={secret}",
    ):
        shown = redact_url(url)
        assert f":{secret}@" not in shown
        assert f"={secret}" not in shown
        assert MASK in shown
    plain = "https://host.example.org:8443/v1?limit=3"
    assert redact_url(plain) == plain


PROGRAM = """
import logging, sys, structlog
from tertulia.observability.log import LoggingSettings, set_up_logging
writer = set_up_logging(LoggingSettings(format=sys.argv[1], level="info"))
log = structlog.get_logger("test")
def call(api_key, headers):
    password = "canary-in-a-variable"
    raise RuntimeError("it failed with Bearer " + api_key)
try:
    call("tt-canary0123456789canary", {"authorization": "canary-in-a-header"})
except RuntimeError as error:
    log.error("broke", exc_info=error, headers={"Authorization": "canary-in-a-field"}, request_id="r-1")
    logging.getLogger("library").exception("it said %s", "sk-canary0123456789")
    log.exception("again")
log.debug("canary-below-the-level")
log.info("line\\nbreak\\x1b[31m", path="/\\n{\\"event\\":\\"forged\\"}")
writer.close()
"""


@pytest.mark.promise(36)
@pytest.mark.parametrize("form", ["json", "console"])
def test_no_form_of_log_tells_a_secret(form: str) -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, timeout=30, check=True)
    assert "canary" not in ran.stderr
    assert "RuntimeError: it failed with Bearer ***" in ran.stderr  # the story itself is told
    assert "in call" in ran.stderr
    assert ran.stdout == ""


def test_json_is_a_line_an_event() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, "json"], capture_output=True, text=True, timeout=30, check=True
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["event"] for line in lines][:1] == ["broke"]
    assert [line["level"] for line in lines] == ["error", "error", "error", "info"]
    assert lines[-1]["path"] == '/\n{"event":"forged"}'
    assert all(line["timestamp"].endswith("Z") for line in lines)
