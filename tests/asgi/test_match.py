import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.asgi.match import Table
from tests.asgi.live import route


async def nothing(_):
    return None


def table(*paths: str) -> Table:
    made = []
    for each in paths:
        method, path = each.split(" ")
        made.append(route(path, nothing, method=method))
    return Table(made)


def found(known: Table, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    answer = known.find(method, path)
    return (answer.route.path, dict(answer.params)) if answer.route else None


def test_a_literal_path_is_found_with_and_without_its_trailing_slash():
    known = table("GET /v1/models", "GET /")
    assert found(known, "GET", "/v1/models") == ("/v1/models", {})
    assert found(known, "GET", "/v1/models/") == ("/v1/models", {})
    assert found(known, "GET", "/") == ("/", {})
    assert found(known, "GET", "/v1/models//") is None
    assert found(known, "GET", "//v1/models") is None


def test_parameters_are_taken_from_the_path_decoded():
    known = table("GET /api/generations/{id}/events", "GET /v1/models/{id:path}")
    assert found(known, "GET", "/api/generations/a%20b/events/") == ("/api/generations/{id}/events", {"id": "a b"})
    assert found(known, "GET", "/v1/models/acme/big%2Fone") == ("/v1/models/{id:path}", {"id": "acme/big/one"})
    assert found(known, "GET", "/v1/models/acme/") == ("/v1/models/{id:path}", {"id": "acme"})
    assert found(known, "GET", "/v1/models/") is None
    assert found(known, "GET", "/api/generations//events") is None


def test_a_slash_that_is_encoded_does_not_part_segments():
    known = table("GET /a/{id}/c")
    assert found(known, "GET", "/a/b%2Fc") is None
    assert found(known, "GET", "/a/b%2Fd/c") == ("/a/{id}/c", {"id": "b/d"})


def test_a_nul_leads_nowhere():
    assert found(table("GET /a/{id}"), "GET", "/a/b%00c") is None


def test_a_literal_wins_over_a_parameter_and_gives_way_where_it_leads_nowhere():
    known = table("GET /c/search", "GET /c/{id}", "DELETE /c/{id}", "POST /c/{id}/restore", "GET /c/search/deep")
    assert found(known, "GET", "/c/search") == ("/c/search", {})
    assert found(known, "GET", "/c/other") == ("/c/{id}", {"id": "other"})
    assert found(known, "DELETE", "/c/search") == ("/c/{id}", {"id": "search"})
    assert found(known, "POST", "/c/search/restore") == ("/c/{id}/restore", {"id": "search"})


def test_a_parameter_wins_over_the_rest_of_a_path():
    known = table("GET /m/{id:path}", "GET /m/{id}/x", "GET /m/all")
    assert found(known, "GET", "/m/all") == ("/m/all", {})
    assert found(known, "GET", "/m/1/x") == ("/m/{id}/x", {"id": "1"})
    assert found(known, "GET", "/m/1/y") == ("/m/{id:path}", {"id": "1/y"})


def test_head_is_answered_by_get():
    known = table("GET /a", "GET /b/{id}", "POST /c")
    assert found(known, "HEAD", "/a") == ("/a", {})
    assert found(known, "HEAD", "/b/1") == ("/b/{id}", {"id": "1"})
    assert found(known, "HEAD", "/c") is None


def test_a_path_that_is_known_names_its_methods():
    known = table("GET /a/{id}", "PUT /a/{id}", "DELETE /a/b", "POST /c")
    assert known.find("POST", "/a/b").methods() == ["DELETE", "GET", "HEAD", "PUT"]
    assert known.find("GET", "/c/").methods() == ["POST"]
    assert known.find("GET", "/d").methods() == []


def test_a_route_twice_is_refused():
    with pytest.raises(ValueError, match=r"two routes for GET /a/\{b\}"):
        table("GET /a/{id}", "GET /a/{b}")


@pytest.mark.parametrize("path", ["a", "/a/", "//", "/{", "/{A}", "/{id:path}/x", "/a b", "/{a}/{a}", "", "/{id:int}"])
def test_what_is_no_template_is_refused(path: str):
    with pytest.raises(ValueError, match=r"template|twice"):
        route(path, nothing)


SEGMENT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@given(st.lists(SEGMENT, min_size=1, max_size=5))
def test_whatever_stands_in_a_path_comes_back_as_it_was(values: list[str]):
    template = "".join(f"/x/{{p{n}}}" for n in range(len(values)))
    path = "".join(f"/x/{quote(value, safe='')}" for value in values)
    params = {f"p{n}": value for n, value in enumerate(values)}
    assert found(table(f"GET {template}"), "GET", path) == (template, params)


NAMES = st.sampled_from(["a", "b", "{x}", "{y}"])


@given(
    st.sets(st.lists(NAMES, min_size=1, max_size=4).map(tuple), max_size=12),
    st.lists(st.sampled_from("abc"), max_size=4),
)
def test_what_is_found_is_the_first_of_all_that_fit(templates: set[tuple[str, ...]], path: list[str]):
    """The oracle: of the templates that fit, the one whose earliest segments are literal."""
    unique = {tuple("{p}" if part.startswith("{") else part for part in each): each for each in templates}
    made = [
        "/" + "/".join(f"{{p{n}}}" if part.startswith("{") else part for n, part in enumerate(each)) for each in unique
    ]
    fits = [
        each
        for each in made
        if len(parts := each.split("/")[1:]) == len(path)
        and all(part.startswith("{") or part == segment for part, segment in zip(parts, path, strict=True))
    ]
    best = min(fits, key=lambda each: [part.startswith("{") for part in each.split("/")], default=None)
    answer = found(table(*(f"GET {each}" for each in made)), "GET", "/" + "/".join(path)) if path else None
    assert (answer[0] if answer else None) == (best if path else None)


def test_the_number_of_routes_does_not_matter():
    def cost(count: int) -> float:
        known = table(*(f"GET /api/x{n}/{{id}}/y" for n in range(count)))
        path = f"/api/x{count - 1}/abc/y"
        best = 1.0
        for _ in range(20):
            began = time.perf_counter()
            for _ in range(200):
                known.find("GET", path)
            best = min(best, time.perf_counter() - began)
        return best

    assert cost(2000) < 5 * cost(10)
