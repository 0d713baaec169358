"""From a name to models, in the order of the HTTP contract (OpenAI face, `model`)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.kernel.errors import Invalid
from tertulia.models.names import Catalogue, ModelName, ModelNotFound, resolve

CATALOGUE = Catalogue(
    listed={
        "acme": ("m", "shared", "deep/er"),
        "other": ("shared", "only-here", "m:8b"),
        "closed": ("one",),
        "fast": (),
    },
    aliases={"quick": ("acme/m", "shared", "other/anything"), "m": ("other/only-here",), "acme/x": ("closed/one",)},
    strict=frozenset({"closed"}),
    default_model="acme/m",
)


def names(asked: str | None, catalogue: Catalogue = CATALOGUE, provider: str | None = None) -> list[str]:
    return [name.full for name in resolve(asked, catalogue, api_provider=provider)]


@pytest.mark.parametrize(
    ("asked", "provider", "found"),
    [
        (None, None, ["acme/m"]),  # the default
        ("", None, ["acme/m"]),
        (None, "acme", ["acme/m"]),
        ("acme/m", None, ["acme/m"]),  # the text before the first "/" or ":" names a provider
        ("acme:m", None, ["acme/m"]),
        ("acme/other", None, ["acme/other"]),  # what is not listed is passed on
        ("acme/deep/er", None, ["acme/deep/er"]),
        ("acme:deep/er", None, ["acme/deep/er"]),
        ("acme/m:8b", None, ["acme/m:8b"]),
        ("closed/one", None, ["closed/one"]),
        ("shared", None, ["acme/shared"]),  # a bare id: the first provider that lists it
        ("only-here", None, ["other/only-here"]),
        ("m:8b", None, ["other/m:8b"]),  # "m" is no provider
        ("deep/er", None, ["acme/deep/er"]),
        ("quick", None, ["acme/m", "acme/shared", "other/anything"]),  # an alias: the first, then its fallbacks
        ("m", None, ["other/only-here"]),  # aliases go before bare ids
        ("acme/x", None, ["closed/one"]),  # and before providers
        ("shared", "other", ["other/shared"]),  # api_provider goes before all of that
        ("m", "acme", ["acme/m"]),
        ("acme/m", "acme", ["acme/m"]),
        ("quick", "acme", ["acme/quick"]),
        ("deep/er", "other", ["other/deep/er"]),
    ],
)
def test_the_order_of_the_contract(asked: str | None, provider: str | None, found: list[str]) -> None:
    assert names(asked, provider=provider) == found


@pytest.mark.parametrize(
    ("asked", "provider"),
    [("acme/m", "other"), ("acme:m", "other"), ("m", "nobody"), ("acme/m", "nobody"), (None, "other")],
)
def test_a_provider_that_contradicts_is_invalid(asked: str | None, provider: str) -> None:
    with pytest.raises(Invalid) as refused:
        resolve(asked, CATALOGUE, api_provider=provider)
    assert refused.value.code == "invalid"
    assert provider in refused.value.message


@pytest.mark.parametrize(
    "asked", ["nonesuch", "acme/", "/m", ":", "/", "ACME/m", "closed/two", "nobody/m", "character:x", " acme/m", "m "]
)
def test_what_leads_nowhere_is_not_found(asked: str) -> None:
    with pytest.raises(ModelNotFound) as refused:
        resolve(asked, CATALOGUE)
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("asked", "near"),
    [("only-hear", "only-here"), ("acme-m", "acme/m"), ("closed/on", "closed/one"), ("quik", "quick")],
)
def test_near_names_are_offered(asked: str, near: str) -> None:
    with pytest.raises(ModelNotFound, match="Did you mean") as refused:
        resolve(asked, CATALOGUE)
    assert near in refused.value.message


def test_without_a_default_the_caller_is_told_how_to_set_one() -> None:
    with pytest.raises(ModelNotFound, match="Set `default_model` in"):
        resolve(None, Catalogue(listed={}))


def test_the_default_provider_takes_what_leads_nowhere_else() -> None:
    catalogue = Catalogue(listed={"acme": ("m",), "rest": ()}, default_provider="rest")
    assert names("m", catalogue) == ["acme/m"]
    assert names("x/y:z", catalogue) == ["rest/x/y:z"]
    with pytest.raises(ModelNotFound):
        resolve("m", Catalogue(listed={"rest": ()}, default_provider="rest", strict=frozenset({"rest"})))


def test_the_default_may_be_an_alias_and_nothing_is_tried_twice() -> None:
    assert names(None, Catalogue(listed={"a": ("m",)}, aliases={"d": ("a/m", "m")}, default_model="d")) == ["a/m"]


PROVIDER = st.text("abc", min_size=1, max_size=2)
NAME = st.text("abc/:", max_size=5)


@given(
    st.dictionaries(PROVIDER, st.lists(NAME, max_size=3), max_size=3),
    st.dictionaries(NAME, st.lists(NAME, min_size=1, max_size=2), max_size=2),
    st.none() | NAME,
    st.none() | PROVIDER,
)
def test_every_name_is_resolved_or_refused(
    listed: dict[str, list[str]], aliases: dict[str, list[str]], asked: str | None, provider: str | None
) -> None:
    catalogue = Catalogue(listed=listed, aliases=aliases)
    try:
        found = resolve(asked, catalogue, api_provider=provider)
    except (ModelNotFound, Invalid):
        return
    assert found
    for name in found:
        assert name.provider in listed
        if name.model:
            full = resolve(name.full, Catalogue(listed=listed))  # without aliases a full name means itself
            assert full == (ModelName(name.provider, name.model),)


@pytest.mark.promise(38)
def test_a_wrong_name_among_thousands_is_refused_at_once() -> None:
    many = Catalogue(listed={"big": [f"org{n % 7}/model-{n}-instruct-v{n % 13}" for n in range(20_000)]})
    began = time.process_time()
    for _ in range(5):
        with pytest.raises(ModelNotFound):
            resolve("org/modell-9-instruct-v1-turbo", many)
    assert (time.process_time() - began) / 5 < 0.1
