"""The official `openai` package, as its users use it."""

from typing import Any

import openai
import pydantic
import pytest

from tests.asked import last_asked
from tests.clients.conftest import CLOCK, PIXEL, WEATHER, said
from tests.running import FakeUpstream, RunningServer

MODEL = "up/echo"


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=said("good morning"))
    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    assert answer.choices[0].message.content == "good morning"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer.id == f"chatcmpl-{(answer.model_extra or {})['generation_id']}"
    assert answer._request_id


@pytest.mark.parametrize("model", ["up/echo", "up:echo", "echo", "fast"])
def test_every_spelling_of_a_model_is_given_back(client: openai.OpenAI, model: str) -> None:
    assert client.chat.completions.create(model=model, messages=said("x")).model == model


@pytest.mark.parametrize("counted", [True, False])
def test_a_stream(client: openai.OpenAI, *, counted: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if counted else {}
    chunks = list(client.chat.completions.create(model=MODEL, messages=said("good evening"), stream=True, **options))
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "good evening"
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert ends == ["stop"]
    with_usage = [chunk for chunk in chunks if chunk.usage]
    assert len(with_usage) == counted
    if counted:
        assert chunks[-1] is with_usage[0]
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == len("good evening") // 4


def test_the_stream_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=said("one two three")) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion()
    assert "".join(deltas) == whole.choices[0].message.content == "one two three"


def test_a_tool_is_called_and_answered(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    messages: Any = said("How is it in Utrecht?")
    script = {"tool_calls": [{"name": "weather", "arguments": '{"place": "Utrecht"}', "id": "call_abc"}]}
    first = client.chat.completions.create(
        model=MODEL, messages=messages, tools=[WEATHER], extra_body={"script": script}
    )
    assert first.choices[0].finish_reason == "tool_calls"
    calls: Any = first.choices[0].message.tool_calls
    assert calls is not None
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call_abc", "weather", '{"place": "Utrecht"}')
    ]
    result: Any = {"role": "tool", "tool_call_id": "call_abc", "content": "rain"}
    messages += [first.choices[0].message, result]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "The tool said: rain"
    asked = last_asked(upstream)
    assert asked["tools"] == [WEATHER]
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "tool"]
    assert asked["messages"][1]["tool_calls"][0]["id"] == asked["messages"][2]["tool_call_id"] == "call_abc"


def test_tools_are_called_side_by_side(client: openai.OpenAI) -> None:
    calls = [{"name": "weather", "arguments": '{"place": "Ghent"}'}, {"name": "clock", "arguments": '{"zone": 1}'}]
    asked: Any = {
        "model": MODEL,
        "messages": said("both"),
        "tools": [WEATHER, CLOCK],
        "parallel_tool_calls": True,
        "extra_body": {"script": {"tool_calls": calls}},
    }
    whole = client.chat.completions.create(**asked).choices[0].message.tool_calls
    with client.chat.completions.stream(**asked) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    expected = [(call["name"], call["arguments"]) for call in calls]
    for found in (whole, streamed):
        assert found is not None
        assert [(call.function.name, call.function.arguments) for call in found] == expected
        assert len({call.id for call in found}) == 2
    assert [(event.name, event.arguments) for event in done] == expected


def test_models(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {"up/echo", "fake/lorem", "nobody/m", "fast"} <= listed.keys()
    assert client.models.retrieve("up/echo") == listed["up/echo"]
    assert client.models.retrieve("fast").owned_by == "tertulia"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("up/nonesuch")
    assert refused.value.code == "model_not_found"


class Place(pydantic.BaseModel):
    """What a structured answer holds."""

    name: str
    people: int


def test_json_mode_and_structured_output(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    script = {"script": {"reply": '{"name": "Delft", "people": 106000}'}}
    plain = client.chat.completions.create(
        model=MODEL, messages=said("as json"), response_format={"type": "json_object"}, extra_body=script
    )
    assert last_asked(upstream)["response_format"] == {"type": "json_object"}
    assert Place.model_validate_json(plain.choices[0].message.content or "").people == 106000
    parsed = client.chat.completions.parse(model=MODEL, messages=said("x"), response_format=Place, extra_body=script)
    assert parsed.choices[0].message.parsed == Place(name="Delft", people=106000)
    schema = last_asked(upstream)["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("Place", True)
    assert schema["schema"]["required"] == ["name", "people"]


def test_images_reach_the_provider(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
    ]
    messages: Any = [{"role": "user", "content": parts}]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    assert answer.choices[0].message.content == "what is this?"
    assert last_asked(upstream)["messages"] == messages


@pytest.mark.parametrize("model", ["up/echo", "fake/echo"])
def test_several_choices(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=said("twice"), n=2)
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in whole.choices] == [
        (0, "twice", "stop"),
        (1, "twice", "stop"),
    ]
    texts = {0: "", 1: ""}
    ends: list[int] = []
    for chunk in client.chat.completions.create(model=model, messages=said("twice"), n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends += [choice.index] if choice.finish_reason else []
    assert texts == {0: "twice", 1: "twice"}
    assert sorted(ends) == [0, 1]


def test_log_probabilities(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    asked: Any = {"model": MODEL, "messages": said("likely words"), "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**asked).choices[0]
    assert whole.logprobs is not None
    assert whole.logprobs.content is not None
    assert "".join(token.token for token in whole.logprobs.content) == whole.message.content == "likely words"
    assert last_asked(upstream)["top_logprobs"] == 2
    chunks = [chunk.choices[0] for chunk in client.chat.completions.create(**asked, stream=True) if chunk.choices]
    tokens = [token for choice in chunks if choice.logprobs for token in choice.logprobs.content or ()]
    assert [(token.token, token.logprob) for token in tokens] == [
        (token.token, token.logprob) for token in whole.logprobs.content
    ]


def test_what_is_ours_goes_in_by_extra_body_and_comes_out_as_fields(
    client: openai.OpenAI, upstream: FakeUpstream
) -> None:
    ours = {"save_to_db": True, "priority": "low", "fallbacks": ["fake/echo"], "on_disconnect": "continue"}
    answer = client.chat.completions.create(model=MODEL, messages=said("keep this"), extra_body=ours)
    extra = answer.model_extra or {}
    ids = {extra[name] for name in ("conversation_id", "message_id", "user_message_id", "generation_id")}
    assert len(ids) == 4
    assert not ours.keys() & last_asked(upstream).keys()
    first = next(iter(client.chat.completions.create(model=MODEL, messages=said("x"), stream=True, extra_body=ours)))
    assert {"conversation_id", "message_id", "user_message_id", "generation_id"} <= (first.model_extra or {}).keys()


def test_openais_own_store_keeps_it_too(client: openai.OpenAI) -> None:
    kept = client.chat.completions.create(model=MODEL, messages=said("keep this"), store=True)
    passed = client.chat.completions.create(model=MODEL, messages=said("not this"), store=False)
    assert "conversation_id" in (kept.model_extra or {})
    assert "conversation_id" not in (passed.model_extra or {})


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, openai.BadRequestError, "invalid"),
        (422, openai.BadRequestError, "invalid"),
        (401, openai.InternalServerError, "upstream_error"),
        (404, openai.NotFoundError, "model_not_found"),
        (408, openai.InternalServerError, "upstream_timeout"),
        (409, openai.InternalServerError, "upstream_error"),
        (429, openai.RateLimitError, "rate_limited"),
        (500, openai.InternalServerError, "upstream_error"),
        (503, openai.InternalServerError, "provider_unavailable"),
        (529, openai.InternalServerError, "provider_unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_error_is_its_class_and_never_paid_twice(
    client: openai.OpenAI,
    upstream: FakeUpstream,
    status: int,
    kind: type[openai.APIStatusError],
    code: str,
    *,
    stream: bool,
) -> None:
    before = upstream.counts()["asked"]
    fault = {"kind": "status", "status": status, "message": "no luck", "retry_after": 0}
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(
            model=MODEL, messages=said("x"), stream=stream, extra_body={"script": {"fault": fault}}
        )
    assert type(refused.value) is kind
    assert refused.value.code == code
    assert "no luck" in refused.value.message
    assert upstream.counts()["asked"] == before + 1  # the client has retries, and kept them to itself


@pytest.mark.parametrize("save", [True, False])
def test_an_answer_that_breaks_off_is_an_error_and_no_end(client: openai.OpenAI, *, save: bool) -> None:
    script = {"reply": "never to be told whole", "pace_ms": 1, "fault": {"kind": "cut", "after": 3}}
    stream = client.chat.completions.create(
        model=MODEL, messages=said("x"), stream=True, extra_body={"script": script, "save_to_db": save}
    )
    came: list[Any] = []
    with pytest.raises(openai.APIError) as broken:
        came.extend(stream)
    assert "".join(choice.delta.content or "" for chunk in came for choice in chunk.choices) == "never to be "
    assert broken.value.code == "upstream_truncated"


def test_refusals_are_their_classes(server: RunningServer, client: openai.OpenAI, upstream: FakeUpstream) -> None:
    before = upstream.counts()["asked"]
    stranger = client.with_options(api_key="tt-nobody-has-this-key")
    reader = client.with_options(api_key=server.key("reader", "read"))
    cases: list[tuple[openai.OpenAI, dict[str, Any], type[openai.APIStatusError], str]] = [
        (client, {"messages": []}, openai.BadRequestError, "invalid"),
        (client, {"temperature": 9}, openai.BadRequestError, "invalid"),
        (client, {"tools": ["nonesuch"]}, openai.BadRequestError, "unknown_tool"),
        (stranger, {}, openai.AuthenticationError, "invalid_credential"),
        (reader, {}, openai.PermissionDeniedError, "forbidden"),
        (client, {"extra_body": {"priority": "critical"}}, openai.PermissionDeniedError, "plan_forbids"),
        (client, {"model": "nonesuch"}, openai.NotFoundError, "model_not_found"),
    ]
    for caller, fields, kind, code in cases:
        create: Any = caller.chat.completions.create
        with pytest.raises(openai.APIStatusError) as refused:
            create(**{"model": MODEL, "messages": said("x"), **fields})
        assert (type(refused.value), refused.value.code) == (kind, code)
        assert refused.value.request_id
    assert upstream.counts()["asked"] == before


def test_the_parameter_that_is_wrong_is_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=said("x"), top_p=7)
    assert (refused.value.param, refused.value.type) == ("top_p", "invalid_request_error")
    assert "between 0 and 1" in refused.value.message
