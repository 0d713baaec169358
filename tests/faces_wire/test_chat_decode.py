import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tertulia.faces.openai.decode import _OPTIONS, ChatRequest, decode_chat
from tertulia.faces.openai.encode import completion
from tertulia.kernel.errors import Invalid, TertuliaError
from tertulia.turn.content import ImagePart, TextPart
from tertulia.turn.events import Ended, Event
from tertulia.turn.fold import fold
from tertulia.wire.chat_body import ChatBody
from tertulia.wire.document import MalformedJson
from tertulia.wire.messages import AttachmentTooLarge
from tertulia.wire.parameters import PARAMETERS
from tertulia.wire.sizes import Sizes
from tests.faces_wire.logs import logs

SIZES = Sizes()
ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"
HI = {"role": "user", "content": "Hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}


def read(sizes: Sizes = SIZES, **fields: Any) -> ChatRequest:
    return decode_chat(json.dumps({"model": "m", "messages": [HI], **fields}).encode(), sizes)


def refusal(body: bytes | dict[str, Any], sizes: Sizes = SIZES) -> TertuliaError:
    with pytest.raises(TertuliaError) as raised:
        decode_chat(body if isinstance(body, bytes) else json.dumps(body).encode(), sizes)
    return raised.value


def said(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages)}


def parts(*content: Any) -> dict[str, Any]:
    return said({"role": "user", "content": list(content)})


def image(url: Any) -> dict[str, Any]:
    return parts({"type": "image_url", "image_url": {"url": url}})


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


INVALID: list[tuple[dict[str, Any], str]] = [
    ({}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": []}, "messages"),
    (said("Hi"), "messages.0"),
    (said(HI, None), "messages.1"),
    (said({"content": "Hi"}), "messages.0.role"),
    (said({"role": "bot", "content": "Hi"}), "messages.0.role"),
    (said({"role": 5, "content": "Hi"}), "messages.0.role"),
    (said({"role": "user"}), "messages.0.content"),
    (said({"role": "user", "content": None}), "messages.0.content"),
    (said({"role": "user", "content": 5}), "messages.0.content"),
    (said({"role": "user", "content": []}), "messages.0.content"),
    (said({"role": "system", "content": None}), "messages.0.content"),
    (said(HI, {"role": "assistant"}), "messages.1.content"),
    (said({"role": "tool", "content": "12:00"}), "messages.0.tool_call_id"),
    (said({"role": "tool", "content": "12:00", "tool_call_id": 5}), "messages.0.tool_call_id"),
    (said({"role": "function", "content": "12:00"}), "messages.0.name"),
    (said({"role": "assistant", "tool_calls": {}}), "messages.0.tool_calls"),
    (said({"role": "assistant", "tool_calls": [5]}), "messages.0.tool_calls.0"),
    (said({"role": "assistant", "tool_calls": [{"id": "c"}]}), "messages.0.tool_calls.0.function"),
    (said({"role": "assistant", "tool_calls": [{**CALL, "type": "magic"}]}), "messages.0.tool_calls.0.type"),
    (said({"role": "assistant", "tool_calls": [{**CALL, "id": None}]}), "messages.0.tool_calls.0.id"),
    (
        said({"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}),
        "messages.0.tool_calls.0.function.arguments",
    ),
    (said({"role": "assistant", "reasoning_details": [5]}), "messages.0.reasoning_details.0"),
    (
        said({"role": "assistant", "reasoning_details": [{"data": "tertulia:%%%"}]}),
        "messages.0.reasoning_details.0.data",
    ),
    (said({"role": "assistant", "toolCalls": [], "tool_calls": [CALL]}), "messages.0.toolCalls"),
    (parts("Hi"), "messages.0.content.0"),
    (parts({"text": "Hi"}), "messages.0.content.0.type"),
    (parts({"type": "hologram"}), "messages.0.content.0.type"),
    (parts({"type": "text", "text": "a"}, {"type": "text", "text": 5}), "messages.0.content.1.text"),
    (parts({"type": "image_url", "image_url": "https://a.example/a.png"}), "messages.0.content.0.image_url"),
    (image("http://a.example/a.png"), "messages.0.content.0.image_url.url"),
    (image("ftp://a.example/a.png"), "messages.0.content.0.image_url.url"),
    (image("file:///etc/passwd"), "messages.0.content.0.image_url.url"),
    (image("https://"), "messages.0.content.0.image_url.url"),
    (image("https://a.example/a b.png"), "messages.0.content.0.image_url.url"),
    (image("https://a.example/\n.png"), "messages.0.content.0.image_url.url"),
    (image("data:text/html;base64,PGI+"), "messages.0.content.0.image_url.url"),
    (image("data:image/png,abc"), "messages.0.content.0.image_url.url"),
    (image("data:image/png;base64,"), "messages.0.content.0.image_url.url"),
    (image(5), "messages.0.content.0.image_url.url"),
    ({"messages": [HI], "model": 5}, "model"),
    ({"messages": [HI], "model": ""}, "model"),
    ({"messages": [HI], "model": "m" * 513}, "model"),
    ({"messages": [HI], "temperature": 2.1}, "temperature"),
    ({"messages": [HI], "temperature": -0.1}, "temperature"),
    ({"messages": [HI], "temperature": "hot"}, "temperature"),
    ({"messages": [HI], "temperature": True}, "temperature"),
    ({"messages": [HI], "top_p": 1.5}, "top_p"),
    ({"messages": [HI], "presence_penalty": 3}, "presence_penalty"),
    ({"messages": [HI], "frequency_penalty": -3}, "frequency_penalty"),
    ({"messages": [HI], "n": 0}, "n"),
    ({"messages": [HI], "n": 9}, "n"),
    ({"messages": [HI], "n": 1.5}, "n"),
    ({"messages": [HI], "n": True}, "n"),
    ({"messages": [HI], "max_tokens": 0}, "max_tokens"),
    ({"messages": [HI], "max_completion_tokens": -1}, "max_completion_tokens"),
    ({"messages": [HI], "max_tokens": 10**30}, "max_tokens"),
    ({"messages": [HI], "seed": 2**63}, "seed"),
    ({"messages": [HI], "stop": 5}, "stop"),
    ({"messages": [HI], "stop": ["a", 5]}, "stop.1"),
    ({"messages": [HI], "stop": ["a"] * 65}, "stop"),
    ({"messages": [HI], "top_logprobs": 21}, "top_logprobs"),
    ({"messages": [HI], "logprobs": 1}, "logprobs"),
    ({"messages": [HI], "logit_bias": []}, "logit_bias"),
    ({"messages": [HI], "logit_bias": {"50256": 101}}, "logit_bias.50256"),
    ({"messages": [HI], "stream": "yes"}, "stream"),
    ({"messages": [HI], "stream_options": {"include_usage": True}}, "stream_options"),
    ({"messages": [HI], "stream": True, "stream_options": 5}, "stream_options"),
    ({"messages": [HI], "stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"messages": [HI], "tools": {}}, "tools"),
    ({"messages": [HI], "tools": [5]}, "tools.0"),
    ({"messages": [HI], "tools": [""]}, "tools.0"),
    ({"messages": [HI], "tools": [{}]}, "tools.0.type"),
    ({"messages": [HI], "tools": [{"type": "function"}]}, "tools.0.function"),
    ({"messages": [HI], "tools": [TOOL, {"type": "function", "function": {}}]}, "tools.1.function.name"),
    (
        {"messages": [HI], "tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
        "tools.0.function.parameters",
    ),
    ({"messages": [HI], "tools": [TOOL] * 129}, "tools"),
    ({"messages": [HI], "tool_choice": "maybe"}, "tool_choice"),
    ({"messages": [HI], "tool_choice": 5}, "tool_choice"),
    ({"messages": [HI], "tool_choice": {"type": "function"}}, "tool_choice.function"),
    ({"messages": [HI], "tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
    ({"messages": [HI], "response_format": "json"}, "response_format"),
    ({"messages": [HI], "response_format": {}}, "response_format.type"),
    ({"messages": [HI], "response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"messages": [HI], "functions": [{}]}, "functions.0.name"),
    ({"messages": [HI], "function_call": "now"}, "function_call"),
    ({"messages": [HI], "metadata": "a"}, "metadata"),
    ({"messages": [HI], "user": 5}, "user"),
    ({"messages": [HI], "character_id": "bob"}, "character_id"),
    ({"messages": [HI], "conversation_id": 5}, "conversation_id"),
    ({"messages": [HI], "parent_message_id": ID}, "parent_message_id"),
    ({"messages": [HI], "conversation_id": ID, "parent_message_id": "x"}, "parent_message_id"),
    ({"messages": [HI], "dictionary_ids": ID}, "dictionary_ids"),
    ({"messages": [HI], "dictionary_ids": [ID, "x"]}, "dictionary_ids.1"),
    ({"messages": [HI], "world_book_ids": [ID] * 101}, "world_book_ids"),
    ({"messages": [HI], "priority": "urgent"}, "priority"),
    ({"messages": [HI], "on_disconnect": "wait"}, "on_disconnect"),
    ({"messages": [HI], "history_message_limit": 0}, "history_message_limit"),
    ({"messages": [HI], "history_message_limit": 501}, "history_message_limit"),
    ({"messages": [HI], "save_to_db": "yes"}, "save_to_db"),
    ({"messages": [HI], "save_to_db": True, "store": False}, "store"),
    ({"messages": [HI], "strict_params": 1}, "strict_params"),
    ({"messages": [HI], "fallbacks": "m"}, "fallbacks"),
    ({"messages": [HI], "fallbacks": [5]}, "fallbacks.0"),
    ({"messages": [HI], "user_name": ""}, "user_name"),
    ({"messages": [HI], "api_provider": 5}, "api_provider"),
    ({"messages": [HI], "prompt_template_name": []}, "prompt_template_name"),
    ({"messages": [HI], "top_p": 0.1, "topP": 0.2}, "topP"),
    ({"messages": [HI], "max_tokens": 1, "maxTokens": 2}, "maxTokens"),
]


@pytest.mark.parametrize(("body", "path"), INVALID, ids=[f"{n}-{path}" for n, (_, path) in enumerate(INVALID)])
def test_what_breaks_a_rule_is_refused_at_its_place(body: dict[str, Any], path: str) -> None:
    error = refusal(body)
    assert type(error) is Invalid
    assert error.code == "invalid"
    assert error.path == path
    assert error.details == {"errors": [{"path": path, "message": error.message}]}
    assert path.rpartition(".")[2] in error.message
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b'{"messages": [}',
        b"{'messages': []}",
        b'{"messages": [],}',
        b'{"temperature": NaN, "messages": []}',
        b'{"temperature": Infinity}',
        b'{"temperature": 1e999}',
        b'{"seed": 01}',
        b'{"user": "\xff"}',
        b'{"user": "\xed\xa0\x80"}',
        b'{"user": "\\ud800"}',
        b'{"user": "\\udc00 low first"}',
        b'{"\\ud800": 1}',
        b'{"user": "a\x01b"}',
        b"\xef\xbb\xbf{}",
        b'{"a": 1} {"b": 2}',
        b"[" * 100_000,
        b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
        b"\x00",
    ],
)
def test_what_cannot_be_read_is_malformed(body: bytes) -> None:
    error = refusal(body)
    assert type(error) is MalformedJson
    assert error.code == "malformed_json"


@pytest.mark.parametrize("body", [b"[]", b'"Hi"', b"5", b"null", b"true"])
def test_a_body_must_be_an_object(body: bytes) -> None:
    error = refusal(body)
    assert type(error) is Invalid
    assert "JSON object" in error.message


@pytest.mark.parametrize("place", ["x", "tools", "messages", "content", "call", "extra"])
def test_depth_is_bounded_everywhere(place: str) -> None:
    def body(depth: int) -> dict[str, Any]:
        deep = nested(depth)
        return {
            "x": {"messages": [HI], "x": deep},
            "tools": {
                "messages": [HI],
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": deep}}}],
            },
            "messages": said({"role": "user", "content": "Hi", "x": deep}),
            "content": parts({"type": "text", "text": "a", "cache_control": {"x": deep}}),
            "call": said({"role": "assistant", "content": None, "function_call": {"x": deep}}),
            "extra": said({"role": "assistant", "content": "", "tool_calls": [{**CALL, "extra_content": {"x": deep}}]}),
        }[place]

    above = {"x": 1, "tools": 5, "messages": 3, "content": 6, "call": 4, "extra": 6}[place]
    assert decode_chat(json.dumps(body(128 - above)).encode(), SIZES)
    assert refusal(body(129 - above)).code == "malformed_json"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (said({"role": "user", "content": "a\0b"}), "messages.0.content"),
        (parts({"type": "text", "text": "\0"}), "messages.0.content.0.text"),
        ({"messages": [HI], "user": "\0"}, "user"),
        ({"messages": [HI], "x": {"a": ["b", "\0"]}}, "x.a.1"),
        ({"messages": [HI], "x": {"\0": 1}}, "x"),
        ({"messages": [HI], "\0": 1}, "body"),
    ],
)
def test_the_character_nul_is_refused_at_its_place(body: dict[str, Any], path: str) -> None:
    error = refusal(body)
    assert type(error) is Invalid
    assert error.path == path


def test_text_about_an_escape_is_not_the_character() -> None:
    assert read(user="write \\u0000 here").request.parameters["user"] == "write \\u0000 here"


def test_counts_and_lengths_are_bounded() -> None:
    sizes = Sizes(max_messages=3, max_text_chars=5, max_images=2, max_image_bytes=30, max_tools=1)
    url = "data:image/png;base64,AAAA"
    picture = {"type": "image_url", "image_url": {"url": url}}
    assert read(sizes, messages=[HI, HI, {"role": "user", "content": [picture, picture]}], tools=[TOOL])
    for body, path in (
        (said(HI, HI, HI, HI), "messages"),
        (said({"role": "user", "content": "123456"}), "messages.0.content"),
        (parts({"type": "text", "text": "1"}, {"type": "text", "text": "123456"}), "messages.0.content.1.text"),
        (said({"role": "user", "content": [picture, picture]}, {"role": "user", "content": [picture]}), "messages"),
        ({"messages": [HI], "tools": [TOOL, "url-context"]}, "tools"),
    ):
        error = refusal(body, sizes)
        assert (type(error), error.code) == (Invalid, "invalid")
        assert isinstance(error, Invalid)
        assert error.path == path
    too_large = refusal(image("data:image/png;base64," + "A" * 44), sizes)
    assert type(too_large) is AttachmentTooLarge
    assert too_large.code == "attachment_too_large"


def test_the_defaults_are_the_contracts() -> None:
    assert msgspec.to_builtins(SIZES) == {
        "max_messages": 2000,
        "max_text_chars": 1_000_000,
        "max_images": 20,
        "max_image_bytes": 20 * 1024 * 1024,
        "max_tools": 128,
        "max_json_depth": 128,
    }


def test_a_plain_request_is_read() -> None:
    found = read(messages=[{"role": "system", "content": "Be brief."}, HI], temperature=0.5, max_tokens=9, stream=True)
    assert found.model == "m"
    assert found.stream
    assert not found.include_usage
    assert [message.role for message in found.request.messages] == ["system", "user"]
    assert found.request.parameters == {"temperature": 0.5, "max_tokens": 9}
    assert found.request.max_tokens == 9
    assert found.save is None
    assert found.parent_message_id is msgspec.UNSET


def test_fields_of_ours_do_not_reach_the_provider() -> None:
    other = "0199aaaa-bbbb-7ccc-8ddd-ffffffffffff"
    found = read(
        character_id=ID,
        conversation_id=other,
        parent_message_id=None,
        save_to_db=True,
        store=True,
        prompt_template_name="plain",
        priority="high",
        dictionary_ids=[],
        world_book_ids=[ID],
        api_provider="openai",
        fallbacks=["a", "b"],
        user_name="Ana",
        on_disconnect="cancel",
        strict_params=True,
        history_message_limit=20,
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        tools=[TOOL, "url-context", "url-context"],
        some_new_field={"a": [1]},
    )
    assert found.request.parameters == {"tools": [TOOL], "some_new_field": {"a": [1]}}
    assert found.include_usage
    assert found.server_tools == ("url-context",)
    assert found.character_id is not None
    assert len(found.character_id) == 16
    assert found.conversation_id is not None
    assert found.parent_message_id is None
    assert (found.save, found.priority, found.api_provider) == (True, "high", "openai")
    assert (found.dictionary_ids, found.world_book_ids) == ((), (found.character_id,))
    assert (found.fallbacks, found.user_name, found.on_disconnect) == (("a", "b"), "Ana", "cancel")
    assert (found.strict_params, found.history_message_limit, found.prompt_template_name) == (True, 20, "plain")


def test_both_spellings_mean_the_same() -> None:
    one = read(top_p=0.5, max_tokens=5, save_to_db=True, conversation_id=ID, history_message_limit=3)
    other = read(topP=0.5, maxTokens=5, saveToDb=True, conversationId=ID, historyMessageLimit=3, max_tokens=5)
    assert one == other
    streamed = read(stream=True, streamOptions={"includeUsage": True}, topK=4, responseFormat={"type": "json_object"})
    assert streamed.include_usage
    assert streamed.request.parameters == {"top_k": 4, "response_format": {"type": "json_object"}}


def test_null_is_left_out_and_numbers_may_be_written_as_whole_fractions() -> None:
    found = read(temperature=None, tools=None, stream=None, stream_options=None, n=2.0, stop=None, model=None)
    assert found.request.parameters == {"n": 2}
    assert found.request.choices == 2
    assert found.model is None
    assert not found.stream


def test_a_conversation_may_need_nothing_new() -> None:
    assert read(messages=[], conversation_id=ID).request.messages == ()


def test_a_key_that_stands_twice_is_resolved_once() -> None:
    found = decode_chat(b'{"messages":[{"role":"user","content":"a"}],"user":"x","user":"y"}', SIZES)
    assert found.request.parameters == {"user": "y"}


def test_parts_and_calls_are_read() -> None:
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "https://a.example/a.png", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [CALL, {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
    ]
    user, assistant, tool = read(messages=messages).request.messages
    text, picture = user.parts()
    assert isinstance(text, TextPart)
    assert text.cache_control == {"type": "ephemeral"}
    assert isinstance(picture, ImagePart)
    assert picture.image_url.detail == "low"
    assert [(call.id, call.type, call.function.arguments) for call in assistant.tool_calls or ()] == [
        ("c1", "function", "{}"),
        ("c2", "custom", "ls"),
    ]
    assert tool.tool_call_id == "c1"


def test_unknown_fields_of_a_message_are_kept_for_the_provider() -> None:
    message = {
        "role": "assistant",
        "content": "a",
        "some_new_field": 1,
        "annotations": [],
        "extra": {"role": "x"},
        "opaque": [],
    }
    found = read(messages=[message, HI]).request.messages[0]
    assert found.extra == {"some_new_field": 1, "extra": {"role": "x"}, "opaque": []}
    assert found.opaque is None
    assert (
        read(messages=[{"role": "assistant", "content": None, "toolCalls": [CALL]}, HI]).request.messages[0].tool_calls
    )


def test_a_hosts_own_replay_fields_come_back_where_they_were() -> None:
    details = [{"type": "reasoning.text", "text": "so", "signature": "s", "index": 0}]
    call = {**CALL, "extra_content": {"google": {"thought_signature": "c2ln"}}}
    message = {"role": "assistant", "content": None, "reasoning_details": details, "tool_calls": [call]}
    found = read(messages=[message, HI]).request.messages[0]
    assert found.reasoning_details == details
    assert found.opaque is None
    assert found.tool_calls is not None
    assert found.tool_calls[0].opaque == {"wire": "openai", "data": {"extra_content": call["extra_content"]}}


@given(log=logs())
@settings(max_examples=60, deadline=None)
def test_an_answer_that_comes_back_brings_what_must_be_replayed(log: list[Event]) -> None:
    started, ended = log[0], log[-1]
    assert isinstance(ended, Ended)
    choice = fold(log).choice()
    message = json.loads(completion(started, (choice,), ended))["choices"][0]["message"]  # type: ignore[arg-type]
    assume("\\u0000" not in json.dumps(message))  # which a client may not send, wherever it has it from
    if message["content"] == "" and len(message) == 3:
        message["content"] = "…"
    found = read(messages=[message, HI]).request.messages[0]
    foreign = [kept for kept in choice.opaque if kept["wire"] != "openai"]
    assert list(found.opaque or ()) == foreign
    calls = {call.id: call.opaque for call in found.tool_calls or ()}
    assert calls == {call.id: call.opaque for call in choice.tool_calls}
    assert (found.reasoning_content or "") == choice.reasoning


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
names = st.sampled_from(
    [
        "model",
        "messages",
        "temperature",
        "tools",
        "tool_choice",
        "stop",
        "stream",
        "stream_options",
        "n",
        "store",
        "save_to_db",
        "conversation_id",
        "parent_message_id",
        "fallbacks",
        "response_format",
        "topP",
        "top_p",
        "logit_bias",
        "functions",
        "function_call",
        "dictionary_ids",
        "x",
    ]
)
messages = st.dictionaries(
    st.sampled_from(["role", "content", "tool_calls", "tool_call_id", "name", "reasoning_details", "x", "toolCalls"]),
    json_values
    | st.sampled_from(["user", "assistant", "tool"])
    | st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "image_url", "function"])},
            optional={"text": json_values, "image_url": json_values, "function": json_values, "id": json_values},
        ),
        max_size=2,
    ),
    max_size=4,
)
bodies = json_values | st.dictionaries(names, json_values | st.lists(messages, max_size=3), max_size=6)


@given(body=bodies)
@example(body={"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]})
@example(body={"messages": [{"role": "assistant", "reasoning_details": [{"data": "tertulia:W10="}], "content": ""}]})
@settings(max_examples=400, deadline=None)
def test_any_json_is_read_or_refused_with_a_typed_error(body: Any) -> None:
    codes: list[str] = []
    try:
        found = decode_chat(json.dumps(body).encode(), SIZES)
    except TertuliaError as error:
        codes.append(error.code)
    else:
        msgspec.json.encode(found.request)
    assert set(codes) <= {"invalid", "malformed_json", "attachment_too_large"}


@given(body=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused_with_a_typed_error(body: bytes) -> None:
    assert refusal(body).code in {"invalid", "malformed_json"}


def test_damaged_bodies_are_refused_with_a_typed_error() -> None:
    chance = random.Random(7)
    whole = json.dumps(
        {**said(HI, {"role": "assistant", "tool_calls": [CALL]}), "tools": [TOOL], "stop": ["é", "\n"]}
    ).encode()
    codes: set[str] = set()
    for _ in range(1000):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            body[chance.randrange(len(body))] = chance.choice((chance.randrange(256), chance.randrange(32, 127)))
        try:
            decode_chat(bytes(body[: chance.randint(1, 2 * len(body))]), SIZES)
        except TertuliaError as error:
            codes.add(error.code)
    assert codes == {"invalid", "malformed_json"}


SCHEMA = msgspec.json.schema_components([ChatBody])[1]["ChatBody"]["properties"]
BOUNDS = [
    (name, side, form[side])
    for name, field in SCHEMA.items()
    for form in [field, *field.get("anyOf", ())]
    for side in ("minimum", "maximum")
    if side in form
]


def test_what_is_documented_is_what_is_read() -> None:
    found = decode_chat(json.dumps({"messages": [HI], **dict.fromkeys(SCHEMA.keys() - {"messages"})}).encode(), SIZES)
    assert found.request.parameters == {}  # `null` is left out of what is known; unknown fields would be passed on
    assert SCHEMA.keys() == {*PARAMETERS, *_OPTIONS, "messages", "tools", "stream_options"}


@pytest.mark.parametrize(("name", "side", "bound"), BOUNDS)
def test_documented_bounds_hold(name: str, side: str, bound: float) -> None:
    beyond = bound - 1 if side == "minimum" else bound + 1
    assert decode_chat(json.dumps({"messages": [HI], name: bound}).encode(), SIZES)
    error = refusal({"messages": [HI], name: beyond})
    assert isinstance(error, Invalid)
    assert error.path == name
