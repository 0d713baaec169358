"""Gemini's wire."""

import json
from typing import Any

import msgspec
import pytest

from tertulia.kernel.errors import Invalid
from tertulia.kernel.secret import Secret
from tertulia.providers.dialects.gemini.dialect import Gemini
from tertulia.providers.port import Finished, Profile
from tertulia.turn.content import AudioPart, FilePart, Function, ImagePart, ImageUrl, Message, Part
from tertulia.turn.events import Finish, Opaque, UsageSeen
from tertulia.turn.request import Request
from tertulia.turn.usage import Usage


def chunk(text: str = "x", **candidate: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [{"text": text}]}, **candidate}]}


def stream(*chunks: Any) -> bytes:
    return "".join(f"data: {json.dumps(one)}\r\n\r\n" for one in chunks).encode()


def test_thoughts_calls_signatures_and_usage(recorded):
    answer = recorded("gemini_calls.sse")
    assert (answer.choice.reasoning, answer.choice.text) == ("Considering the lamp.", "Moment 灯.")
    weather, time = answer.choice.tool_calls
    assert (weather.function, time.function) == (Function("weather", '{"city":"Köln"}'), Function("time", "{}"))
    assert weather.opaque == {"wire": "gemini", "data": {"thoughtSignature": "AbC="}}
    assert weather.id != time.id
    assert [kept["data"] for kept in answer.choice.opaque] == [{"thoughtSignature": "Zz8="}]
    usage = Usage(prompt=13, completion=39, cached=4, reasoning=30)
    assert [event.usage for event in answer.events if isinstance(event, UsageSeen)] == [usage]
    assert answer.how == Finished((Finish("tool_calls", 0, "STOP"),))


def test_ids_that_are_made_are_the_same_each_time(recorded):
    first, second = (recorded("gemini_calls.sse").choice.tool_calls for _ in range(2))
    assert [call.id for call in first] == [call.id for call in second]


def test_images_code_and_grounding(recorded):
    answer = recorded("gemini_image.sse")
    assert answer.choice.images == ("data:image/png;base64,iVBORw0KGgo=",)
    assert [event.data for event in answer.events if isinstance(event, Opaque)] == [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
    ]
    assert answer.choice.citations[0].data["groundingMetadata"]["webSearchQueries"] == ["lamp"]
    assert answer.how == Finished((Finish("length", 0, "MAX_TOKENS"),))


def test_a_blocked_prompt(recorded):
    answer = recorded("gemini_blocked.sse")
    assert answer.how == Finished((Finish("content_filter", 0, "PROHIBITED_CONTENT"),))
    assert answer.folded.usage == Usage(prompt=5)


def test_a_whole_answer(recorded):
    answer = recorded("gemini_whole.json")
    assert (answer.choice.reasoning, answer.choice.text) == ("hm", "Olá")
    assert answer.choice.tool_calls[0].id == "fc1"


def test_a_stream_that_came_as_one_list(read):
    body = json.dumps([chunk("a"), chunk("b", finishReason="STOP")]).encode()
    answer = read("gemini", body, streamed=False)
    assert (answer.choice.text, answer.how) == ("ab", Finished((Finish("stop", 0, "STOP"),)))


def test_two_candidates(read):
    answer = read(
        "gemini", stream(chunk("a", index=0, finishReason="STOP"), chunk("b", index=1, finishReason="SAFETY"))
    )
    assert [choice.text for choice in answer.folded.choices()] == ["a", "b"]
    assert answer.how == Finished((Finish("stop", 0, "STOP"), Finish("content_filter", 1, "SAFETY")))


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_broken_call_fails_and_may_be_tried_again(read, word):
    answer = read("gemini", stream(chunk("a", finishReason=word)))
    assert (answer.code, answer.how.retry, answer.choice.text) == ("upstream_error", True, "a")


def test_an_end_without_a_reason_is_a_cut_that_keeps_the_count(read):
    answer = read("gemini", stream({**chunk("a"), "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 1}}))
    assert (answer.code, answer.choice.text, answer.folded.usage) == ("upstream_truncated", "a", Usage(2, 1))


@pytest.mark.parametrize(
    ("status", "code"),
    [("UNAVAILABLE", "provider_unavailable"), ("RESOURCE_EXHAUSTED", "rate_limited"), ("INTERNAL", "upstream_error")],
)
def test_an_error_in_the_stream(read, status, code):
    answer = read("gemini", stream(chunk("a"), {"error": {"code": "x", "message": "m", "status": status}}))
    assert (answer.code, answer.choice.text) == (code, "a")


@pytest.mark.parametrize("body", [b"<html>", b"7", b'{"candidates": 7}'])
def test_what_cannot_be_read(read, body):
    assert read("gemini", body, streamed=False).code == "upstream_invalid"


# Requests


def encoded(messages: list[Message], profile: Profile | None = None, **parameters: Any) -> Any:
    request = Request(tuple(messages), parameters, stream=False)
    return msgspec.json.decode(Gemini().encode(request, "m", profile or Profile()).body)


def test_paths():
    streamed = Gemini().encode(Request((), {}, stream=True), "gemini-x", Profile())
    assert streamed.path == "/v1beta/models/gemini-x:streamGenerateContent?alt=sse"
    assert (
        Gemini().encode(Request((), {}), "tunedModels/a b", Profile()).path
        == "/v1beta/tunedModels/a%20b:generateContent"
    )


def test_turns_and_instructions():
    body = encoded(
        [
            Message("system", "be brief"),
            Message("assistant", "a"),
            Message("user", "b"),
            Message("user", "c", name="Bo"),
        ]
    )
    assert body["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "…"}]},
        {"role": "model", "parts": [{"text": "a"}]},
        {"role": "user", "parts": [{"text": "b"}, {"text": "Bo: c"}]},
    ]


def test_a_tool_round_trip_replays_signatures(recorded):
    choice = recorded("gemini_calls.sse").choice
    weather, time = choice.tool_calls
    body = encoded(
        [
            Message("user", "weather?"),
            Message("assistant", choice.text, tool_calls=[weather, time], opaque=choice.opaque),
            Message("tool", '{"sky":"grey"}', tool_call_id=weather.id),
            Message("tool", "late", tool_call_id=time.id),
        ]
    )
    assert body["contents"][1]["parts"] == [
        {"text": "Moment 灯.", "thoughtSignature": "Zz8="},
        {"functionCall": {"name": "weather", "args": {"city": "Köln"}}, "thoughtSignature": "AbC="},
        {"functionCall": {"name": "time", "args": {}}},
    ]
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"name": "weather", "response": {"sky": "grey"}}},
        {"functionResponse": {"name": "time", "response": {"result": "late"}}},
    ]


def test_media():
    parts: list[Part] = [
        ImagePart(ImageUrl("data:image/png;base64,AAAA")),
        FilePart({"file_data": "data:application/pdf;base64,JVBE"}),
        AudioPart({"data": "UklG", "format": "wav"}),
        ImagePart(ImageUrl("https://generativelanguage.googleapis.com/v1beta/files/x")),
    ]
    assert encoded([Message("user", parts)])["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
    ]
    with pytest.raises(Invalid):
        encoded([Message("user", [ImagePart(ImageUrl("https://lamp.example/x.png"))])])


def test_parameters_by_this_wires_names():
    function = {"name": "f", "description": "d", "parameters": {"type": "object", "additionalProperties": False}}
    body = encoded(
        [Message("user", "a")],
        max_tokens=9,
        temperature=0.1,
        top_p=0.2,
        top_k=3,
        stop=["a", "b", "c", "d", "e", "f"],
        seed=1,
        n=2,
        logprobs=True,
        top_logprobs=4,
        response_format={"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
        modalities=["text", "image"],
        tools=[{"type": "function", "function": function}, {"googleSearch": {}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        reasoning_effort="low",
        safetySettings=[],
        generationConfig={"mediaResolution": "X"},
    )
    assert body["generationConfig"] == {
        "maxOutputTokens": 9,
        "temperature": 0.1,
        "topP": 0.2,
        "topK": 3,
        "stopSequences": ["a", "b", "c", "d", "e"],
        "seed": 1,
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 4,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "responseModalities": ["TEXT", "IMAGE"],
        "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True},
        "mediaResolution": "X",
    }
    declared = {"name": "f", "description": "d", "parametersJsonSchema": function["parameters"]}
    assert body["tools"] == [{"functionDeclarations": [declared]}, {"googleSearch": {}}]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}
    assert body["safetySettings"] == []


@pytest.mark.parametrize(("choice", "mode"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")])
def test_tool_choices(choice, mode):
    body = encoded([Message("user", "a")], tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": mode}}


def test_what_is_left_out_is_named():
    request = Request((), {"logit_bias": {}, "user": "u", "stop": list("abcdef"), "reasoning_effort": "vast"})
    assert set(Gemini().encode(request, "m", Profile()).dropped) == {"logit_bias", "user", "stop", "reasoning_effort"}


def test_a_budget_of_thought():
    body = encoded([Message("user", "a")], Profile(thinking="budget"), reasoning_effort="none")
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0, "includeThoughts": False}


def test_credential_and_model_list():
    assert Gemini().credential(Secret("k")) == {"x-goog-api-key": "k"}
    body = {
        "models": [
            {"name": "models/gemini-x", "inputTokenLimit": 9, "supportedGenerationMethods": ["generateContent"]},
            {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]},
        ]
    }
    assert [(one.id, one.context_window) for one in Gemini().models(json.dumps(body).encode())] == [("gemini-x", 9)]
