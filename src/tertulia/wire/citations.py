"""Sources of an answer in the form of each dialect, whatever wire they came by."""

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from tertulia.turn.events import Citation

Json = dict[str, Any]


_KNOWN: Final = frozenset({"url_citation", "file_citation", "container_file_citation", "file_path"})


class Page(msgspec.Struct, frozen=True):
    """A web page as a source, with what is cited of it where the wire says that."""

    url: str
    title: str
    quote: str = ""


def annotations(citation: Citation) -> list[Json]:
    """Write a source as annotations of Chat Completions: one, or for Gemini's grounding one for each page.

    Pages of other wires get an empty span: they count in bytes, or say what they cite and not where. What clients have
    no type for gives none: it goes into `citations` as it is.
    """
    if citation.wire == "openai":
        return [citation.data] if citation.data.get("type") in _KNOWN else []
    return [{"type": "url_citation", "url_citation": _span(page)} for page in pages(citation)]


def response_annotations(citation: Citation) -> list[Json]:
    """Write a source as annotations of the Responses API, which have no inner object; documents are files there."""
    if citation.wire == "openai":
        return [{"type": note["type"], **_dict(note.get(note["type"]) or note)} for note in annotations(citation)]
    if citation.wire == "anthropic" and "document_index" in citation.data:
        return [_file_citation(citation.data)]
    return [{"type": "url_citation", **_span(page)} for page in pages(citation)]


def anthropic_citations(citation: Citation) -> list[Json]:
    """Write a source as Anthropic's citations: of a search result, or of a document where it was a file."""
    if citation.wire == "anthropic":
        return [citation.data]
    found = [_search_result(page) for page in pages(citation)]
    file = _dict(citation.data.get("file_citation")) or citation.data
    if not found and citation.wire == "openai" and isinstance(file.get("file_id"), str):
        return [_char_location(file)]
    return found


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


def _span(page: Page) -> Json:
    found: Json = {"url": page.url, "title": page.title, "start_index": 0, "end_index": 0}
    return {**found, "content": page.quote} if page.quote else found


def _file_citation(data: Json) -> Json:
    index, title = data["document_index"], data.get("document_title")
    file = data.get("file_id") or f"document-{index}"
    found: Json = {"type": "file_citation", "file_id": file, "filename": title or file, "index": index}
    return {**found, "content": data["cited_text"]} if data.get("cited_text") else found


def _search_result(page: Page) -> Json:
    found = {"type": "web_search_result_location", "url": page.url, "title": page.title}
    return {**found, "cited_text": page.quote, "encrypted_index": ""}


def _char_location(file: Json) -> Json:
    place = {"document_index": 0, "start_char_index": 0, "end_char_index": 0}
    named = {"document_title": file.get("filename"), "file_id": file["file_id"]}
    return {"type": "char_location", "cited_text": "", **place, **named}


def _dict(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Json]:
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []
