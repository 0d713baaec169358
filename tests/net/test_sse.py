"""Event streams and lines of JSON, cut anywhere."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.net.sse import FrameTooLong, LineParser, SseParser

Frame = tuple[bytes, bytes]


def frames_of(parser: SseParser, pieces: list[bytes]) -> Iterator[Frame]:
    for piece in pieces:
        yield from parser.feed(piece)


def parse(pieces: list[bytes], cap: int = 10_000) -> list[Frame]:
    parser = SseParser(cap)
    return [*frames_of(parser, pieces), *parser.close()]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)
ends = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Frame]]:
    """A legal stream and what it says, by the rules of the HTML standard."""
    wire, said = [draw(st.sampled_from(["", "\ufeff"]))], list[Frame]()
    for _ in range(draw(st.integers(0, 6))):
        lines, data, name = list[str](), list[str](), ""
        for kind in draw(st.lists(st.sampled_from(["data", "bare", "comment", "event", "id", "unknown"]), max_size=5)):
            text = draw(texts)
            if kind == "data":
                lines.append(f"data: {text}")
                data.append(text)
            elif kind == "bare":
                lines.append(f"data:{text.lstrip(' ')}")
                data.append(text.lstrip(" "))
            elif kind == "comment":
                lines.append(f":{text}")
            elif kind == "event":
                lines.append(f"event: {text}")
                name = text
            else:
                lines.append(f"{kind}: {text}")
        for line in [*lines, ""]:
            end = draw(ends)
            alone = not line and wire[-1].endswith("\r") and end == "\n"  # the two would be one CRLF
            wire.append(line + ("\r" if alone else end))
        if data:
            said.append((name.encode(), "\n".join(data).encode()))
    return "".join(wire).encode(), said


@pytest.mark.promise(11)
@settings(max_examples=400)
@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_legal_stream_says_the_same_however_it_is_cut(stream: tuple[bytes, list[Frame]], places: list[int]):
    wire, said = stream
    assert parse(cut(wire, places)) == said


@pytest.mark.promise(11)
@given(streams())
def test_a_stream_byte_by_byte_says_the_same(stream: tuple[bytes, list[Frame]]):
    wire, said = stream
    assert parse([bytes((byte,)) for byte in wire]) == said


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_at_all_read_the_same_however_they_are_cut(data: bytes, places: list[int]):
    assert parse(cut(data, places)) == parse([data])


def test_an_event_goes_out_with_the_read_that_ends_it():
    parser = SseParser()
    assert list(parser.feed(b"data: a\r")) == []
    assert list(parser.feed(b"\n\r")) == [(b"", b"a")]
    assert list(parser.feed(b"\ndata: b\n\n")) == [(b"", b"b")]


def test_a_last_event_without_its_blank_line_is_given_at_the_end():
    assert parse([b"data: a\n\ndata: [DONE]"]) == [(b"", b"a"), (b"", b"[DONE]")]
    assert parse([b"data: a\n\nevent: x\n"]) == [(b"", b"a")]


@pytest.mark.promise(11)
@pytest.mark.parametrize("size", [1, 7, 64, 1000, 5000])
def test_a_frame_over_the_cap_is_an_error_after_the_events_before_it(size: int):
    wire = b"data: fine\n\ndata: " + b"x" * 2000 + b"\n\ndata: late\n\n"
    seen = list[Frame]()
    with pytest.raises(FrameTooLong):
        seen.extend(frames_of(SseParser(cap=1000), [wire[start : start + size] for start in range(0, len(wire), size)]))
    assert seen == [(b"", b"fine")]


@pytest.mark.parametrize("size", [1, 13, 4000])
@pytest.mark.parametrize(("length", "fits"), [(1000, True), (1001, False)])
def test_the_cap_is_the_same_however_a_frame_is_cut(size: int, length: int, *, fits: bool):
    frame = b"data: " + b"x" * (length - 6)
    wire = frame + b"\n\n"
    pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
    if fits:
        assert parse(pieces, cap=1000) == [(b"", b"x" * (length - 6))]
    else:
        with pytest.raises(FrameTooLong):
            parse(pieces, cap=1000)


@pytest.mark.promise(11)
def test_a_frame_of_ten_megabytes_is_an_error_and_not_memory():
    with pytest.raises(FrameTooLong):
        assert list(frames_of(SseParser(), [b"x" * 65536] * 160)) == []


def lines(pieces: list[bytes]) -> list[bytes]:
    parser = LineParser(1000)
    pairs = [pair for piece in pieces for pair in parser.feed(piece)] + list(parser.close())
    assert all(event == b"" for event, _ in pairs)
    return [line for _, line in pairs]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)), st.lists(st.integers(0, 500))
)
def test_lines_are_the_same_however_they_are_cut(said: list[str], places: list[int]):
    wire = "".join(f"{line}\r\n\n" for line in said).encode()
    assert lines(cut(wire, places)) == [line.encode() for line in said]
    assert lines([wire.rstrip()]) == [line.encode() for line in said]


def test_a_line_over_the_cap_is_an_error():
    with pytest.raises(FrameTooLong):
        lines([b"short\n", b"x" * 600, b"x" * 600])
