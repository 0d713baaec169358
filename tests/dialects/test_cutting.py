"""However a network cuts an answer, the same events come of it, on every wire."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

STREAMS = [
    "openai_text.sse",
    "openai_tools.sse",
    "openai_odd_tools.sse",
    "openai_two_choices.sse",
    "deepseek_reasoning.sse",
    "openrouter.sse",
    "mistral_thinking.sse",
    "vllm_continuous.sse",
    "perplexity_full.sse",
    "anthropic_thinking_tools.sse",
    "anthropic_search.sse",
    "gemini_calls.sse",
    "gemini_image.sse",
    "ollama_tools.ndjson",
]
same_functions = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def wire_of(name: str) -> str:
    first = name.partition("_")[0]
    return first if first in {"anthropic", "gemini", "ollama"} else "openai"


@pytest.mark.promise(11)
@pytest.mark.parametrize("name", STREAMS)
@same_functions
@given(places=st.lists(st.integers(0, 100_000), max_size=20))
def test_cut_at_random(name, places, transcript, read, recorded):
    data = transcript(name)
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert read(wire_of(name), pieces) == recorded(name)


@pytest.mark.promise(11)
@pytest.mark.parametrize("name", STREAMS)
def test_cut_into_bytes(name, transcript, read, recorded):
    assert read(wire_of(name), [bytes((byte,)) for byte in transcript(name)]) == recorded(name)


@pytest.mark.parametrize("name", STREAMS)
def test_an_answer_that_breaks_off_is_never_complete_and_never_more_than_the_whole(name, transcript, read, recorded):
    data, whole = transcript(name), recorded(name)
    ends = 0
    for length in range(0, len(data), 7):
        part = read(wire_of(name), data[:length])
        ends += part.code is None
        assert part.code in {None, "upstream_truncated"}
        assert whole.choice.text.startswith(part.choice.text)
    assert ends < len(data) / 7 / 2
