from typing import Any

import pytest

from tertulia.turn.events import Citation
from tertulia.wire.citations import annotations, anthropic_citations, response_annotations

URL = {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
OWN = {"type": "url_citation", "url_citation": URL}
FILE = {"type": "file_citation", "file_id": "file-1", "filename": "a.txt", "index": 3}
PAGE = {
    "type": "web_search_result_location",
    "url": "https://a.example",
    "title": "A",
    "cited_text": "q",
    "encrypted_index": "x",
}
DOCUMENT = {
    "type": "char_location",
    "document_index": 1,
    "document_title": "D",
    "cited_text": "q",
    "start_char_index": 0,
    "end_char_index": 1,
}
GROUNDING = {
    "groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}, {"web": {}}, 5]}
}
CITED = {"citationMetadata": {"citationSources": [{"uri": "https://a.example", "startIndex": 1}]}}
READ = {"urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "https://a.example"}]}}
NOTHING = {"groundingMetadata": {"searchEntryPoint": {}}}


@pytest.mark.parametrize(
    ("wire", "data", "chat", "responses", "anthropic"),
    [
        ("openai", OWN, [OWN], [{"type": "url_citation", **URL}], ["https://a.example"]),
        ("openai", FILE, [FILE], [FILE], ["file-1"]),
        ("openai", {"type": "reference", "reference_ids": [2]}, [], [], []),
        ("anthropic", PAGE, ["https://a.example"], ["https://a.example"], [PAGE]),
        ("anthropic", DOCUMENT, [], ["document-1"], [DOCUMENT]),
        ("gemini", GROUNDING, ["https://a.example"], ["https://a.example"], ["https://a.example"]),
        ("gemini", CITED, ["https://a.example"], ["https://a.example"], ["https://a.example"]),
        ("gemini", READ, ["https://a.example"], ["https://a.example"], ["https://a.example"]),
        ("gemini", NOTHING, [], [], []),
    ],
)
def test_a_source_is_told_in_every_dialect(
    wire: str, data: dict[str, Any], chat: list[Any], responses: list[Any], anthropic: list[Any]
) -> None:
    citation = Citation(data, wire)
    for found, wanted in (
        (annotations(citation), chat),
        (response_annotations(citation), responses),
        (anthropic_citations(citation), anthropic),
    ):
        assert [
            each if isinstance(want, dict) else _key(each) for each, want in zip(found, wanted, strict=True)
        ] == wanted


def _key(found: dict[str, Any]) -> Any:
    inner = found.get("url_citation", found)
    return inner.get("url") or inner.get("file_id")
