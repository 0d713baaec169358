"""Whatever bytes come in, a card, a lorebook or a typed error comes out, and a card can be written again."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tertulia.characters.cards.card import Character, Imported
from tertulia.characters.cards.conversion import Spec
from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.reading import EXTENSIONS, image_only, read_card
from tertulia.characters.cards.writing import Form, write_card
from tests.characters.samples import ALL, as_bytes, chunk, png, sample, webp, zipped

EXTENSIONS_IN_ORDER = sorted(EXTENSIONS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = (
    "spec spec_version data name description first_mes mes_example char_name context greeting bot tags extensions"
    " alternate_greetings character_book entries keys content position assets uri type creation_date nickname source"
    " group_only_greetings creator_notes_multilingual lorebookVersion kind turn_template talkativeness use_regex id"
)
VALUES = JSON | st.sampled_from(["chara_card_v2", "chara_card_v3", "lorebook_v3", "memory", "risu", "__asset:1", "3.1"])
TREES = st.recursive(
    st.dictionaries(st.sampled_from(FIELDS.split()), VALUES, max_size=6),
    lambda inner: st.dictionaries(st.sampled_from(FIELDS.split()), VALUES | inner | st.lists(inner, max_size=3)),
    max_leaves=6,
)


def read(data: bytes, name: str) -> Imported | None:
    try:
        return read_card(data, name)
    except CardError:
        return None


def use(outcome: Imported | None, original: bytes) -> None:
    """Do with a card all that its library may do."""
    if not isinstance(outcome, Character):
        return
    assert outcome.card.fields.name.strip()
    for file in outcome.files:
        with suppress(CardError):
            file.load()
    picture = outcome.portrait if outcome.format in {"png", "apng"} else None
    for form in Form:
        spec = list(Spec)[len(original) % 2]
        portrait = picture.load() if picture and form is Form.PNG else None
        container = original if form is Form.CHARX and outcome.format == "charx" else None
        try:
            out = write_card(outcome.card, form, spec=spec, portrait=portrait, files=outcome.files, container=container)
        except CardError:
            assert outcome.files  # one of them is damaged
            continue
        if form is not Form.TXT:
            again = read_card(out.content, f"a.{form}")
            assert isinstance(again, Character)
            assert again.card.fields.name == outcome.card.fields.name


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes of `data` changed, lost, doubled or cut off."""
    changed = bytearray(data[: draw(st.sampled_from([len(data), len(data), len(data) * 3 // 4, len(data) // 3]))])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        width = draw(st.integers(0, 4))
        match draw(st.sampled_from(["set", "insert", "delete", "double", "field"])):
            case "set":
                changed[at : at + width] = draw(st.binary(min_size=width, max_size=width))
            case "insert":
                changed[at:at] = draw(st.binary(max_size=8))
            case "delete":
                del changed[at : at + 4 * width]
            case "double":
                changed[at:at] = changed[at : at + 16 * width]
            case _:
                extremes = [b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x01"]
                changed[at : at + 4] = draw(st.sampled_from(extremes))
    return bytes(changed)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_mutated_sample_is_a_card_or_a_typed_error(name: str, data: st.DataObject):
    original = data.draw(mutated(sample(name)))
    use(read(original, name), original)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["json_v3.json", "json_v2.json", "json_v1.json"]), st.data())
def test_mutated_card_in_any_container_is_a_card_or_a_typed_error(name: str, data: st.DataObject):
    card = data.draw(mutated(sample(name)))
    for made, file in (
        (png(chunk(b"tEXt", b"ccv3\0" + base64.b64encode(card))), "a.png"),
        (webp(b"ASCII\0\0\0" + card), "a.webp"),
        (zipped({"card.json": card}), "a.charx"),
        (b"---\n" + card + b"\n---\nprose", "a.md"),
        (b"```json\n" + card + b"\n```\n", "a.md"),
        (card, "a.yaml"),
    ):
        use(read(made, file), made)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_tree_is_a_card_a_lorebook_or_a_typed_error(tree: dict[str, Any]):
    data = json.dumps(tree).encode()
    use(read(data, "a.json"), data)
    use(read(zipped({"card.json": data}), "a.charx"), zipped({"card.json": data}))


BYAF_FIELDS = (
    "characters scenarios author name backyardURL displayName isNSFW persona loreItems key value images path label"
    " title narrative formattingInstructions firstMessages exampleMessages text messages outputs type activeTimestamp"
    " createdAt backgroundImage"
)
BYAF = st.recursive(
    JSON | st.sampled_from(["c.json", "s.json", "i.png", "../c.json", "human", "ai"]),
    lambda inner: st.dictionaries(
        st.sampled_from(BYAF_FIELDS.split()), inner | st.lists(inner, max_size=3), max_size=8
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(BYAF, BYAF, BYAF)
def test_any_byaf_is_a_card_or_a_typed_error(manifest: Any, character: Any, scenario: Any):
    if isinstance(manifest, dict):
        manifest |= {"characters": ["c.json"], "scenarios": ["s.json", "missing.json"]}
    members = {"manifest.json": manifest, "c.json": character, "s.json": scenario, "i.png": ""}
    data = zipped({name: as_bytes(tree) for name, tree in members.items()})
    use(read(data, "a.byaf"), data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.sampled_from(EXTENSIONS_IN_ORDER))
def test_any_bytes_under_any_name(data: bytes, ext: str):
    use(read(data, f"a.{ext}"), data)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["png_v1.png", "webp_no_card.webp", "apng_v2.png"]), st.data())
def test_mutated_picture_can_be_imported_alone_or_is_refused(name: str, data: st.DataObject):
    original = data.draw(mutated(sample(name)))
    try:
        outcome = image_only(original, name)
    except CardError:
        return
    assert outcome.card.fields.name == name.rpartition(".")[0]
