"""The containers by themselves: what is written is what their formats say, and keeps what was there."""

import json
import zipfile
from io import BytesIO
from struct import pack, unpack_from

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.characters.cards import png, webp
from tertulia.characters.cards.archive import open_archive
from tertulia.characters.cards.archive_writing import new_archive, with_members
from tertulia.characters.cards.card import Character
from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.exif import user_comments, with_user_comment
from tertulia.characters.cards.reading import read_card
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.tree import Number, Tree, arm, dump, settle
from tertulia.characters.cards.writing import Form, write_card
from tertulia.characters.cards.yaml_text import dump_yaml, parse_yaml
from tests.characters.samples import VP8, VP8L, as_bytes, exif, riff, sample, unzipped, v3, zipped


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    assert data[:4] == b"RIFF"
    assert len(data) == unpack_from("<I", data, 4)[0] + 8
    return [(chunk.kind, bytes(chunk.body)) for chunk in webp.walk(memoryview(data), Remarks())]


def comments(block: bytes) -> list[bytes]:
    return [comment for comment, _ in user_comments(memoryview(block))]


# --- Exif


@pytest.mark.parametrize("order", ["<", ">"])
def test_user_comment_is_written_beside_the_other_tags(order: str):
    orientation = pack(order + "HHIHH", 0x0112, 3, 1, 6, 0)
    older = (b"II*\0" if order == "<" else b"MM\0*") + pack(order + "IH", 8, 1) + orientation + b"\0" * 4
    block = with_user_comment(memoryview(older), b"{}")
    assert comments(block) == [b"ASCII\0\0\0{}"]
    assert orientation in block
    assert block[:4] == older[:4]
    again = with_user_comment(memoryview(block), b"{...}")
    assert comments(again) == [b"ASCII\0\0\0{...}"]
    assert len(again) == len(block) + 3


@pytest.mark.parametrize("block", [b"", b"garbage", b"II*\0\0\0\0\0", b"MM\0*\xff\xff\xff\xff"])
def test_user_comment_replaces_what_is_no_block(block: bytes):
    assert comments(with_user_comment(memoryview(block), b"{}")) == [b"ASCII\0\0\0{}"]


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_any_block_takes_a_user_comment(block: bytes, text: bytes):
    assert comments(with_user_comment(memoryview(b"II*\0" + block), text))[:1] == [b"ASCII\0\0\0" + text]


# --- WEBP


@pytest.mark.parametrize(
    ("picture", "header"),
    [
        ([VP8L], b"\x18\0\0\0" + b"\0\0\0" * 2),
        ([VP8], b"\x08\0\0\0\x06\0\0\x04\0\0"),
        ([(b"VP8X", b"\x12\0\0\0\x09\0\0\x07\0\0"), (b"ALPH", b"a"), VP8], b"\x1a\0\0\0\x09\0\0\x07\0\0"),
    ],
)
def test_webp_gets_an_extended_header_and_keeps_its_chunks(picture: list[tuple[bytes, bytes]], header: bytes):
    original = riff(*picture, (b"EXIF", exif(b"ASCII\0\0\0old")), (b"XMP ", b"<x/>"), (b"own ", b"o"))
    chunks = chunks_of(webp.write(memoryview(original), b"{}"))
    assert chunks[0] == (b"VP8X", header)
    kept = [chunk for chunk in picture if chunk[0] != b"VP8X"]
    assert chunks[1:] == [*kept, (b"own ", b"o"), (b"EXIF", chunks[-2][1]), (b"XMP ", b"<x/>")]
    assert comments(chunks[-2][1]) == [b"ASCII\0\0\0{}"]


@pytest.mark.parametrize("data", [sample("png_v1.png"), b"", riff((b"junk", b"")), riff((b"VP8L", b"\x2f"))])
def test_what_is_no_webp_carries_no_card(data: bytes):
    with pytest.raises(CardError) as caught:
        webp.write(memoryview(data), b"{}")
    assert caught.value.reason == "image_mismatch"


def test_card_in_a_webp_is_ascii_that_old_readers_parse():
    outcome = read_card(sample("json_v3.json"), "a.json")
    assert isinstance(outcome, Character)
    (comment,) = comments(dict(chunks_of(write_card(outcome.card, Form.WEBP).content))[b"EXIF"])
    assert comment.isascii()
    assert json.loads(comment.removeprefix(b"ASCII\0\0\0")) == json.loads(sample("json_v3.json"))


# --- PNG


def test_png_behind_its_end_and_without_an_end():
    tail = sample("png_no_card.png") + b"behind"
    assert png.write(memoryview(tail), [("k", b"v")]).endswith(b"IEND\xaeB`\x82behind")
    cut = sample("png_no_card.png")[:-12]
    assert png.write(memoryview(cut), [("k", b"v")]).endswith(b"IEND\xaeB`\x82")


def test_picture_of_another_format_is_refused():
    outcome = read_card(sample("json_v1.json"), "a.json")
    assert isinstance(outcome, Character)
    for form, portrait in ((Form.PNG, sample("webp_no_card.webp")), (Form.WEBP, sample("png_no_card.png"))):
        with pytest.raises(CardError) as caught:
            write_card(outcome.card, form, portrait=portrait)
        assert caught.value.reason == "image_mismatch"


# --- archives


@given(st.dictionaries(st.text("abc/.é漢", min_size=1, max_size=6), st.binary(max_size=50), max_size=5))
def test_new_archive_is_a_zip_that_others_read(members: dict[str, bytes]):
    assert unzipped(new_archive(members)) == members


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_member_is_replaced_and_others_keep_their_bytes(method: int):
    before = {"a.txt": b"a" * 999, "card.json": b"old", "dir/": b"", "z.bin": bytes(range(256))}
    archive = open_archive(memoryview(b"prefix" + zipped(before, method)))
    after = with_members(archive, {"card.json": b"new", "more.png": b"m"})
    assert after.startswith(b"prefix")
    assert unzipped(after) == {**before, "card.json": b"new", "more.png": b"m"}
    raw = zipped({"z.bin": before["z.bin"]}, method)
    assert raw[: raw.index(b"PK\x01\x02")] in after


def test_streamed_archive_with_data_descriptors_is_read_and_kept():
    class Pipe(BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

        def seek(self, offset: int, whence: int = 0) -> int:
            raise OSError(offset, whence)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("card.json", as_bytes(v3(name="Streamed")))
        made.writestr("a.txt", b"a" * 99)
    data = pipe.getvalue()
    archive = open_archive(memoryview(data))
    assert archive.read("a.txt") == b"a" * 99
    assert unzipped(with_members(archive, {"card.json": b"{}"})) == {"card.json": b"{}", "a.txt": b"a" * 99}


def test_zip64_directory_is_read():
    data = zipped({"card.json": as_bytes(v3(name="Wide"))}, zipfile.ZIP_STORED)
    start = data.index(b"PK\x01\x02")
    entry = bytearray(data[start : data.index(b"PK\x05\x06")])
    packed, size = unpack_from("<II", entry, 20)
    entry[20:28] = b"\xff" * 8
    entry[42:46] = b"\xff" * 4
    extra = pack("<HHQQQ", 1, 24, size, packed, 0)
    entry[30:32] = pack("<H", len(extra))
    directory = bytes(entry) + extra
    end64 = pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), start)
    locator = pack("<4sIQI", b"PK\x06\x07", 0, start + len(directory), 1)
    end = pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    for prefix in (b"", b"prefix"):
        outcome = read_card(prefix + data[:start] + directory + end64 + locator + end, "a.charx")
        assert isinstance(outcome, Character)
        assert outcome.card.fields.name == "Wide"


def test_archive_with_a_comment_is_read():
    out = BytesIO(zipped({"card.json": as_bytes(v3())}))
    with zipfile.ZipFile(out, "a") as made:
        made.comment = b"a comment " * 100
    assert open_archive(memoryview(out.getvalue())).members.keys() == {"card.json"}


# --- trees


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
LINES = st.lists(
    st.sampled_from(["a", " b", "c ", "", "\td", "- e", "# f: g", "---", "...", "😀", "\x85", "\u2028", "\r"])
)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
TREES = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | TEXT | LINES.map("\n".join) | NUMBERS.map(Number),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(TREES)
def test_yaml_and_json_give_back_what_they_were_given(root: dict[str, object]):
    written = dump(root)
    assert dump(arm(parse_yaml(dump_yaml(root), Remarks()))) == written
    settled = settle(json.loads(written, parse_float=Number, parse_int=Number), Remarks())
    assert dump(arm(settled)) == written


@given(TREES)
def test_settled_tree_is_plain_json(root: dict[str, object]):
    text = msgspec.json.encode(settle(root, Remarks()).root)  # refuses what is not plain
    json.loads(text, parse_constant=pytest.fail)


def test_literal_of_a_place_that_is_gone_is_forgotten():
    tree = Tree({"a": [1], "b": "text", "c": {}}, {"/a/7": "1.10", "/b/x": "1.10", "/c/d": "1.10", "/e/f": "1.10"})
    assert dump(arm(tree)) == b'{"a":[1],"b":"text","c":{}}'
