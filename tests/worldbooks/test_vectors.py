"""Every activation vector gives the ids and the prompt that SillyTavern gives."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tertulia.worldbooks.entries import Entry, encode_entry
from tertulia.worldbooks.process import read_bench, report, run_bench
from tertulia.worldbooks.reasons import Reason
from tertulia.worldbooks.settings import ScanSettings
from tests.worldbooks.scanning import DATA

FILE: dict[str, Any] = json.loads((DATA / "world_book_vectors.json").read_text())
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def outcome(form: dict[str, Any]) -> dict[str, Any]:
    activation = run_bench(read_bench(form), count_tokens=len, now=NOW)
    return json.loads(json.dumps(report(activation)))


@pytest.mark.parametrize("vector", FILE["vectors"], ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    state = None
    for step in vector.get("steps", [vector]):
        form = {name: {**vector, **step}[name] for name in ("settings", "context", "books", "chat")}
        rng = step.get("rng", vector.get("rng", []))
        got = outcome({**form, "rng": rng, "timed_state": state, "tokenizer": "whitespace"})
        state = got["timed_state"]
        assert got["activated"] == step["expect"]
        for part, expected in step.get("expect_prompt", {}).items():
            assert got["prompt"][part] == expected


def test_the_defaults_are_those_at_the_head_of_the_file() -> None:
    written = encode_entry(Entry())
    assert {name: written[name] for name in FILE["entry_defaults"]} == FILE["entry_defaults"]
    settings = ScanSettings()
    assert {name: getattr(settings, name) for name in FILE["setting_defaults"]} == FILE["setting_defaults"]


def test_every_entry_has_a_reason_of_the_documented_list() -> None:
    for vector in FILE["vectors"]:
        step = vector.get("steps", [vector])[0]
        form = {name: {**vector, **step}[name] for name in ("settings", "context", "books", "chat")}
        got = outcome({**form, "tokenizer": "whitespace"})
        assert len(got["entries"]) == sum(len(entries) for entries in vector["books"].values())
        assert {entry["reason"] for entry in got["entries"]} <= {reason.value for reason in Reason}
        fired = [entry["uid"] for entry in got["entries"] if entry["activated"]]
        assert fired == got["activated"]
