"""From a caller's name to the models that may answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.kernel.errors import Invalid
from tertulia.models.names import Catalogue, ModelNotFound, check_names, resolve

LISTED = {"openai": ("gpt", "mini"), "groq": ("llama",), "tiny": ("smol",)}


def catalogue(**more: Any) -> Catalogue:
    return Catalogue(listed=LISTED, strict=frozenset({"tiny"}), **more)


def full(asked: str | None, names: Catalogue, api_provider: str | None = None) -> list[str]:
    return [name.full for name in resolve(asked, names, api_provider=api_provider)]


def test_an_enforced_default_counts_for_more_than_name_and_provider():
    names = catalogue(default_model="openai/gpt", enforce_default=True)
    assert full("groq/llama", names, "groq") == ["openai/gpt"]
    assert full(None, names, "nobody") == ["openai/gpt"]


def test_an_alias_of_an_alias():
    names = catalogue(aliases={"best": ("big", "small"), "big": ("openai/gpt", "llama"), "small": ("mini", "gpt")})
    assert full("best", names) == ["openai/gpt", "groq/llama", "openai/mini"]
    check_names(names, frozenset())


def test_what_nobody_has_is_passed_over_while_one_is_left():
    names = catalogue(aliases={"best": ("gone", "mini"), "none": ("gone", "tiny/other")})
    assert full("best", names) == ["openai/mini"]
    with pytest.raises(ModelNotFound, match="'gone'"):
        resolve("none", names)


@pytest.mark.parametrize("aliases", [{"a": ("a",)}, {"a": ("gpt", "b"), "b": ("c",), "c": ("llama", "a")}])
def test_a_loop_is_refused(aliases):
    with pytest.raises(Invalid, match=r"aliases\.a: it leads back to itself"):
        check_names(catalogue(aliases=aliases), frozenset(LISTED))


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from(["a", "b", "c", "d", "gpt"]), max_size=5)))
def test_resolving_ends_whatever_the_aliases(aliases):
    names = catalogue(aliases=aliases)
    for alias in aliases:
        try:
            assert full(alias, names) == ["openai/gpt"]
        except ModelNotFound:
            continue


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"aliases": {"best": ("mini", "gone")}}, "aliases.best"),
        ({"aliases": {"best": ("tiny/other",)}}, "aliases.best"),
        ({"default_model": "gone"}, "default_model"),
        ({"default_model": "tiny/other"}, "default_model"),
        ({"default_provider": "nobody"}, "default_provider"),
        ({"enforce_default": True}, "enforce_default"),
    ],
)
def test_what_can_lead_nowhere_is_refused_at_start(more, place):
    with pytest.raises(Invalid, match=place) as refused:
        check_names(catalogue(**more), frozenset())
    assert refused.value.path == place


def test_what_a_host_may_still_list_is_let_pass():
    names = catalogue(aliases={"best": ("gone", "tiny/other")}, default_model="best", default_provider="openai")
    check_names(names, frozenset({"tiny"}))
    check_names(catalogue(default_model="new"), frozenset({"groq"}))
