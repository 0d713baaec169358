import contextlib
import json
import sys
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.asgi.body import JsonBody, convert, require_shallow
from tertulia.kernel.errors import Invalid
from tertulia.wire.document import MalformedJson


class Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str = ""


class Chat(msgspec.Struct, forbid_unknown_fields=True):
    messages: list[Message]
    settings: dict[str, int] = {}
    extra: Any = None


CHAT = JsonBody(Chat)
ANY: JsonBody[Any] = JsonBody(object)


def test_a_good_body_is_decoded():
    assert CHAT.decode(b'{"messages":[{"role":"user","content":"hi"}]}') == Chat([Message("user", "hi")])


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"messages":[{"role":"user"},{"role":1}]}', "messages.1.role"),
        (b'{"messages":[{"role":"user","colour":"red"}]}', "messages.0.colour"),
        (b'{"messages":[{}]}', "messages.0.role"),
        (b"{}", "messages"),
        (b'{"messages":[],"colour":"red"}', "colour"),
        (b'{"messages":[],"settings":{"a":"b"}}', "settings...."),
        (b'{"messages":7}', "messages"),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_place(body: bytes, path: str):
    with pytest.raises(Invalid) as refused:
        CHAT.decode(body)
    assert refused.value.path == path
    (detail,) = (refused.value.details or {})["errors"]
    assert (detail["path"], detail.keys()) == (path, {"path", "message"})
    assert "$" not in refused.value.message


def test_a_body_of_another_type_altogether_is_invalid_without_a_place():
    with pytest.raises(Invalid) as refused:
        CHAT.decode(b"[]")
    assert refused.value.path == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b'{"a":}',
        b'"\xff"',
        b'{"messages":[{"role":"\\ud800"}]}',
        b"{}{}",
        b"\x00",
        b'"\x00"',
        b"[1,]",
        b"NaN",
    ],
)
def test_what_is_no_json_is_malformed(body: bytes):
    with pytest.raises(MalformedJson):
        ANY.decode(body)


def test_a_nul_in_a_text_is_refused_and_a_backslash_before_u0000_is_not_one():
    with pytest.raises(Invalid):
        ANY.decode(b'["a\\u0000b"]')
    with pytest.raises(Invalid):
        ANY.decode(b'["a\\\\\\u0000b"]')
    assert ANY.decode(b'["a\\\\u0000b"]') == ["a\\u0000b"]


@pytest.mark.promise(38)
@pytest.mark.parametrize("depth", [129, 1_000, 100_000, 1_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"), (b"[[],", b"]")])
def test_deep_json_is_malformed_and_quickly_so(depth: int, opening: bytes, closing: bytes):
    limit = sys.getrecursionlimit()
    body = opening * depth + b"1" + closing * depth
    began = time.process_time()
    with pytest.raises(MalformedJson):
        ANY.decode(body)
    assert time.process_time() - began < 0.5
    assert sys.getrecursionlimit() == limit


@pytest.mark.promise(38)
def test_a_flood_of_lists_is_refused_before_it_becomes_objects():
    with pytest.raises(MalformedJson):
        ANY.decode(b"[" + b"[]," * 2_000_000 + b"[]]")


def test_depth_is_counted_to_the_last_level():
    nested = b"[" * 128 + b"]" * 128
    assert ANY.decode(nested) is not None
    with pytest.raises(MalformedJson):
        ANY.decode(b"[" + nested + b"]")
    with pytest.raises(MalformedJson):
        ANY.decode(b"[" + b"[]," * 500 + nested + b"]")


def test_brackets_in_texts_do_not_count():
    assert ANY.decode(json.dumps(["[" * 500, '"' + "{" * 500, "\\", "]" * 300]).encode())


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


TEXTS = st.text(st.sampled_from('[]{}"\\,: ab\n'), max_size=12)
VALUES = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=40,
)


@given(VALUES, st.integers(0, 12))
def test_shallowness_is_judged_as_by_walking_through(value: Any, limit: int):
    body = json.dumps(value).encode()
    if depth_of(value) <= limit:
        require_shallow(body, limit)
    else:
        with pytest.raises(MalformedJson):
            require_shallow(body, limit)


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}"\\,:1a')).map(str.encode))
def test_no_bytes_raise_anything_else(body: bytes):
    for reader in (ANY, CHAT):
        with contextlib.suppress(Invalid, MalformedJson):
            reader.decode(body, 3)


def test_a_query_is_converted_from_its_texts():
    class Page(msgspec.Struct):
        page: int = 1
        deep: bool = False

    assert convert({"page": "2", "deep": "true"}, Page) == Page(2, True)
    with pytest.raises(Invalid) as refused:
        convert({"page": "two"}, Page)
    assert refused.value.path == "page"
