"""The test bench: its form, its answers, its errors."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tertulia.kernel.errors import Invalid
from tertulia.worldbooks.process import count_characters, count_words, read_bench, report, run_bench

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENTRY = {"uid": 1, "key": ["cat"], "content": "{{user}} pets {{char}}'s cat"}
FORM: dict[str, Any] = {
    "settings": {"depth": 2, "another program's": 1},
    "context": {"user": "Ann", "char": "Mia", "an": None, "unknown": []},
    "books": {"global": [ENTRY]},
    "chat": [["Ann", "a cat"]],
    "rng": [0.1],
    "timed_state": None,
    "tokenizer": "whitespace",
}


def run(**changes: Any) -> dict[str, Any]:
    form = {**FORM, **changes}
    return report(run_bench(read_bench(form), count_tokens=count_characters, now=NOW))


def test_the_answer_has_the_fields_of_the_contract() -> None:
    got = run()
    assert got["activated"] == [1]
    assert got["prompt"] == {
        "before": "Ann pets Mia's cat",
        "after": "",
        "an": "",
        "em": (),
        "depth": (),
        "outlet": {},
    }
    entry = got["entries"][0]
    assert {name: entry[name] for name in ("uid", "book", "activated", "reason", "key", "tokens", "sweep")} == {
        "uid": 1, "book": "global", "activated": True, "reason": "key", "key": "cat", "tokens": 4, "sweep": 1,
    }  # fmt: skip
    assert (got["tokens_used"], got["token_budget"], got["overflow"]) == (4, 25_000, False)
    assert got["timed_state"] == {"sticky": {}, "cooldown": {}}


def test_the_state_goes_out_and_comes_in_again() -> None:
    sticky = {"global": [{**ENTRY, "sticky": 3}]}
    first = run(books=sticky)
    assert first["timed_state"]["sticky"]["global.1"]["end"] == 4
    second = run(books=sticky, chat=[["Ann", "x"], ["Mia", "y"]], timed_state=first["timed_state"])
    assert second["entries"][0]["reason"] == "sticky"


def test_the_tokenizer_is_the_forms_or_the_callers() -> None:
    assert run(tokenizer="characters")["tokens_used"] == count_characters("Ann pets Mia's cat\n")
    assert run(tokenizer="")["tokens_used"] == count_characters("Ann pets Mia's cat\n")
    assert count_words(" a  b ") == 2


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"settings": {"depth": "two"}}, "settings.depth"),
        ({"context": {"char_tags": "x"}}, "context.char_tags"),
        ({"books": {"library": []}}, "books"),
        ({"books": {"global": [3]}}, "books"),
        ({"chat": [["only a name"]]}, "chat"),
        ({"rng": ["x"]}, "rng"),
        ({"tokenizer": "tiktoken"}, "tokenizer"),
        ({"surprise": 1}, ""),
    ],
)
def test_an_error_names_its_place(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        run(**changes)
    assert caught.value.path.startswith(path)
    assert str(caught.value)


def test_absent_parts_take_their_defaults() -> None:
    got = report(run_bench(read_bench({}), count_tokens=count_words, now=NOW))
    assert got["activated"] == []
    assert got["token_budget"] == 25_000
