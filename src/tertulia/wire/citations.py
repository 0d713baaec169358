"""Sources of an answer in the form of each dialect, whatever wire they came by."""

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from tertulia.turn.events import Citation

Json = dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """A web page as a source, with what is cited of it where the wire says that."""

    url: str
    title: str
    quote: str = ""


def annotations(citation: Citation) -> list[Json]:
    """Write a source as OpenAI's annotations: one, or for Gemini's grounding one for each page.

    Pages of other wires get an empty span: they count in bytes, or say what they cite and not where. What is no web
    page keeps its own form, under its own type.
    """
    if citation.wire == "openai":
        return [citation.data]
    kind = str(citation.data.get("type") or citation.wire)
    return [_url_citation(page) for page in pages(citation)] or [{"type": kind, kind: citation.data}]


def response_annotations(citation: Citation) -> list[Json]:
    """Write a source as the Responses API's annotations, which have no inner object."""
    flat: list[Json] = []
    for annotation in annotations(citation):
        kind = annotation.get("type")
        inner = annotation.get(kind) if isinstance(kind, str) else None
        flat.append({"type": kind, **cast("Json", inner)} if isinstance(inner, dict) else annotation)
    return flat


def anthropic_citations(citation: Citation) -> list[Json]:
    """Write a source as Anthropic's citations; an annotation that is no web page keeps its own form."""
    if citation.wire == "anthropic":
        return [citation.data]
    found = [
        {
            "type": "web_search_result_location",
            "url": page.url,
            "title": page.title,
            "cited_text": page.quote,
            "encrypted_index": "",
        }
        for page in pages(citation)
    ]
    return found or [citation.data]


def pages(citation: Citation) -> Iterator[Page]:
    """Find the web pages in a source."""
    data = citation.data
    if citation.wire == "gemini":
        yield from _gemini_pages(data)
        return
    inner = data.get("url_citation")
    page = cast("Json", inner) if isinstance(inner, dict) else data
    if isinstance(page.get("url"), str):
        quote = page.get("cited_text") or page.get("content")
        yield _page(page["url"], page.get("title"), quote)


def _gemini_pages(data: Json) -> Iterator[Page]:
    grounding = _dict(data.get("groundingMetadata"))
    for chunk in _dicts(grounding.get("groundingChunks")):
        source = _dict(chunk.get("web") or chunk.get("retrievedContext") or chunk.get("maps"))
        if isinstance(source.get("uri"), str):
            yield _page(source["uri"], source.get("title"), source.get("text"))
    cited = _dict(data.get("citationMetadata"))
    for source in _dicts(cited.get("citationSources") or cited.get("citations")):
        if isinstance(source.get("uri"), str):
            yield _page(source["uri"], source.get("title"), None)
    for source in _dicts(_dict(data.get("urlContextMetadata")).get("urlMetadata")):
        if isinstance(source.get("retrievedUrl"), str):
            yield _page(source["retrievedUrl"], None, None)


def _page(url: str, title: Any, quote: Any) -> Page:
    return Page(url, title if isinstance(title, str) and title else url, quote if isinstance(quote, str) else "")


def _url_citation(page: Page) -> Json:
    found: Json = {"url": page.url, "title": page.title, "start_index": 0, "end_index": 0}
    if page.quote:
        found["content"] = page.quote
    return {"type": "url_citation", "url_citation": found}


def _dict(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Json]:
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []
