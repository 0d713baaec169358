"""`/docs`: the description of the API as a page to read. One file, no script, nothing from any other host."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final, cast

from tertulia.asgi.exchange import Answer
from tertulia.asgi.openapi import describe
from tertulia.asgi.route import Route

_HTML: Final = b"text/html; charset=utf-8"
_CODE: Final = re.compile(r"`([^`]+)`")
_OTHERS: Final = "Other"
_EXAMPLE: Final = "curl -H 'Authorization: Bearer <key>' http://127.0.0.1:8000/v1/models"

Schema = Mapping[str, Any]


def docs_answer(routes: Iterable[Route]) -> Answer:
    """Answer with the page. Its only style is named by its digest, and there is nothing else that could load."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest())
    policy = (
        b"default-src 'none'; style-src 'sha256-%b'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        % digest
    )
    headers = ((b"content-security-policy", policy), (b"referrer-policy", b"no-referrer"))
    return Answer(200, page(describe(routes), style).encode(), _HTML, headers)


def page(document: Mapping[str, Any], style: str = "") -> str:
    """Write the page of an OpenAPI document of ours."""
    info = document["info"]
    groups = _groups(document["paths"])
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])} API</title><style>{style}</style></head><body><div class=page>",
            *_navigation(groups),
            f"<main><h1>{escape(info['title'])} API</h1>",
            f'<p class=soft>Version {escape(info["version"])} · <a href="/openapi.json">openapi.json</a></p>',
            *(f"<p>{_text(paragraph)}</p>" for paragraph in info["description"].split("\n\n")),
            "<p>Send a key with every request, as <code>Authorization: Bearer</code> or as <code>X-API-Key</code>:</p>",
            f"<pre><code>{escape(_EXAMPLE)}</code></pre>",
            *(piece for name, group in groups.items() for piece in _group(name, group)),
            *_shapes(document["components"]["schemas"]),
            "</main></div></body></html>",
        ]
    )


class _Operation:
    """One method on one path, with its description."""

    def __init__(self, method: str, path: str, described: Mapping[str, Any]) -> None:
        self.method = method
        self.path = path
        self.described = described
        self.anchor: str = described["operationId"]


@cache
def _style() -> str:
    return files("tertulia.asgi").joinpath("docs.css").read_text("utf-8")


def _groups(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, list[_Operation]]:
    groups: dict[str, list[_Operation]] = {}
    for path, methods in paths.items():
        for method, described in methods.items():
            name = (described["tags"] or [_OTHERS])[0]
            groups.setdefault(name, []).append(_Operation(method, path, described))
    return groups


def _navigation(groups: Mapping[str, list[_Operation]]) -> Iterator[str]:
    yield '<nav aria-label="Operations">'
    for name, group in groups.items():
        yield f"<h2>{escape(name)}</h2><ul>"
        for each in group:
            label = escape(each.described["summary"] or each.path)
            yield f'<li><a href="#{escape(each.anchor)}">{label}</a></li>'
        yield "</ul>"
    yield '<h2>Shapes</h2><ul><li><a href="#shapes">All shapes</a></li></ul></nav>'


def _group(name: str, group: list[_Operation]) -> Iterator[str]:
    yield f"<h2 class=group>{escape(name)}</h2>"
    for each in group:
        yield from _operation(each)


def _operation(operation: _Operation) -> Iterator[str]:
    described = operation.described
    yield f'<article id="{escape(operation.anchor)}"><h3>'
    yield f"<span class='verb {operation.method}'>{operation.method.upper()}</span>"
    yield f"<code>{escape(operation.path)}</code>{''.join(_rights(described))}</h3>"
    yield f"<p>{_text(described['summary'])}</p>"
    for paragraph in described.get("description", "").split("\n\n"):
        yield f"<p>{_text(paragraph)}</p>" if paragraph else ""
    yield from _parameters(described["parameters"])
    if "requestBody" in described:
        yield "<h4>Request body</h4>"
        yield from _content(described["requestBody"]["content"])
    yield from _responses(described["responses"])
    yield "</article>"


def _rights(described: Mapping[str, Any]) -> Iterator[str]:
    access = {"open": "open to all", "user": "any user"}.get(described["x-access"], f"role {described['x-access']}")
    yield f"<span class=tag>{escape(access)}</span>"
    if "x-scope" in described:
        yield f"<span class=tag>scope {escape(described['x-scope'])}</span>"
    if described["x-meter"] != "none":
        yield f"<span class=tag>metered: {escape(described['x-meter'])}</span>"


def _parameters(parameters: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    rows = [
        (each["name"], f"{each['in']}, {_type(each['schema'])}", _text(each.get("description", "")), each["required"])
        for each in parameters
    ]
    if rows:
        yield "<h4>Parameters</h4>"
        yield from _table(rows)


def _content(content: Mapping[str, Any]) -> Iterator[str]:
    for media_type, described in content.items():
        yield f"<p><code>{escape(media_type)}</code> {_type(described['schema'])}</p>"


def _responses(responses: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    (status, success), *errors = responses.items()
    yield f"<h4>Answer {escape(status)}</h4>"
    yield from _content(success.get("content", {}))
    if errors:
        yield "<h4>Errors</h4><div class=wide><table>"
        for number, described in errors:
            yield f"<tr><th scope=row>{escape(number)}</th><td>{_text(described['description'])}</td></tr>"
        yield "</table></div>"


def _shapes(schemas: Mapping[str, Schema]) -> Iterator[str]:
    yield "<h2 class=group id=shapes>Shapes</h2>"
    for name, schema in schemas.items():
        yield f'<article id="{_anchor(name)}"><h3><code>{escape(name)}</code></h3>'
        if schema.get("description"):
            yield f"<p>{_text(schema['description'])}</p>"
        properties: Mapping[str, Schema] = schema.get("properties", {})
        required = schema.get("required", ())
        if properties:
            rows = [
                (key, _type(of), _text(of.get("description", "")), key in required) for key, of in properties.items()
            ]
            yield from _table(rows)
        else:
            yield f"<p>{_type(schema)}</p>"
        yield "</article>"


def _table(rows: Iterable[tuple[str, str, str, bool]]) -> Iterator[str]:
    yield "<div class=wide><table>"
    for name, kind, text, required in rows:
        need = " · required" if required else ""
        yield f"<tr><th scope=row><code>{escape(name)}</code></th><td>{kind}{need}</td><td>{text}</td></tr>"
    yield "</table></div>"


def _type(schema: Schema) -> str:
    """Name a schema in a few words, as HTML; what has a name is a link."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{_anchor(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return ", ".join(f"<code>{escape(str(each))}</code>" for each in values) or _kind(schema)


def _kind(schema: Schema) -> str:
    kinds: str | list[str] = schema.get("type", "any JSON")
    inner = schema.get("additionalProperties")
    if kinds == "array":
        return f"list of {_type(schema.get('items') or {})}"
    if kinds == "object" and isinstance(inner, dict):
        return f"object of {_type(cast('Schema', inner))}"
    if kinds == "object" and schema.get("properties"):
        return "object: " + ", ".join(f"<code>{escape(name)}</code>" for name in schema["properties"])
    return escape(kinds if isinstance(kinds, str) else " or ".join(kinds))


def _anchor(name: str) -> str:
    return "shape-" + escape(name)


def _text(text: str) -> str:
    """Write a sentence; what stands between backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
