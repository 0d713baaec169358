"""What a caller or a provider chose is safe in a header."""

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.faces.openai.decode import decode_chat
from tertulia.faces.openai.headers import dropped_text, header_text
from tertulia.kernel.errors import Invalid
from tertulia.wire.sizes import Sizes

HI = {"role": "user", "content": "hi"}


@pytest.mark.parametrize("bad", ["\r\nset-cookie: a=b", "\x1b[2J", "\t", "\x7f", "\x9b31m", "\u2028"])
@pytest.mark.parametrize("field", ["model", "api_provider", "fallbacks"])
def test_names_with_control_characters_are_refused(field: str, bad: str) -> None:
    value = ["up/echo", f"a{bad}"] if field == "fallbacks" else f"a{bad}"
    with pytest.raises(Invalid) as caught:
        decode_chat(json.dumps({"messages": [HI], field: value}).encode(), Sizes())
    assert caught.value.path == ("fallbacks.1" if field == "fallbacks" else field)


def test_names_in_other_scripts_are_taken() -> None:
    found = decode_chat(json.dumps({"messages": [HI], "model": "up/模型 é"}).encode(), Sizes())
    assert found.model == "up/模型 é"


@given(st.text(max_size=50))
def test_a_header_is_printable_and_can_be_read_back(text: str) -> None:
    written = header_text(text)
    assert all(0x20 <= byte < 0x7F for byte in written)
    assert unquote(written.decode()) == text


def test_plain_names_stand_as_they_are() -> None:
    assert header_text("meta-llama/Llama-3.1:8b @x") == b"meta-llama/Llama-3.1:8b @x"
    assert dropped_text(("logit_bias", "seed")) == b"logit_bias, seed"


def test_a_lone_surrogate_is_written_too() -> None:
    assert header_text("a\ud800") == b"a?"


@given(st.lists(st.text(min_size=1, max_size=400), min_size=1, max_size=60))
def test_the_list_of_dropped_names_is_bounded_and_holds_whole_names(names: list[str]) -> None:
    written = dropped_text(names)
    assert len(written) <= 1024
    whole = b", ".join(map(header_text, names))
    if len(whole) <= 1024:
        assert written == whole
    else:
        assert written.endswith(b"...")
        assert whole.startswith(written[:-3])
