"""The description of the API (OpenAPI 3.1), written from the table of routes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from tertulia import __version__
from tertulia.asgi.problem import STATUS
from tertulia.asgi.route import Form, Route

_JSON: Final = "application/json"
_REF: Final = "#/components/schemas/{name}"
_WORD: Final = re.compile(r"[^A-Za-z0-9]+")
_SECURITY: Final[tuple[dict[str, list[str]], ...]] = ({"bearer": []}, {"apiKey": []})
_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key of this server, or an access token: `Authorization: Bearer <key>`.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key of this server."},
}
_ERROR_NAME: Final[Mapping[Form, str]] = {"openai": "OpenAIError", "anthropic": "AnthropicError", "tertulia": "Error"}
_PRODUCT: Final = (
    "A self-hosted chat server for language models. Every reply is a durable generation with an event log that "
    "anything may follow.\n\nErrors have three forms: OpenAI's and Anthropic's on their faces, "
    '`{"error": {"code", "message"}, "requestId"}` elsewhere. Programs go by `code`.'
)
_AUTHENTICATED: Final = ("missing_credential", "invalid_credential", "expired_credential")
_WITH_BODY: Final = ("body_too_large", "request_timeout", "unsupported_media_type")
_GENERATES: Final = (
    "insufficient_credits",
    "rate_limited",
    "concurrency_limited",
    "quota_exceeded",
    "upstream_error",
    "overloaded",
    "provider_unavailable",
    "upstream_timeout",
)

Schema = dict[str, Any]


def openapi_document(routes: Iterable[Route]) -> bytes:
    """Write the description of all routes but the hidden ones, as JSON."""
    return msgspec.json.format(msgspec.json.encode(describe(routes)), indent=1)


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """Give the description of all routes but the hidden ones.

    Raises `ValueError` for a route that names an error code which the contract does not know.
    """
    shown = [route for route in routes if not route.hidden]
    schemas, components = _schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path.replace(":path}", "}"), {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tertulia",
            "version": __version__,
            "summary": "Chat with language models, durably.",
            "description": _PRODUCT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(tag for route in shown for tag in route.tags)],
        "security": list(_SECURITY),
        "paths": paths,
        "components": {"securitySchemes": _SCHEMES, "schemas": dict(sorted((components | _error_schemas()).items()))},
    }


def operation_id(route: Route) -> str:
    """Give the id of a route, of its method and path."""
    words = [word for word in _WORD.split(route.path.replace(":path}", "}")) if word]
    return "_".join([route.method.lower(), *words])


class _Schemas:
    """The schemas of types, found by the type; not every type can be hashed, so by its place in a list."""

    def __init__(self, types: Sequence[Any], schemas: Sequence[Schema]) -> None:
        self._types = types
        self._schemas = schemas

    def of(self, shape: Any) -> Schema:
        return next(schema for each, schema in zip(self._types, self._schemas, strict=True) if each == shape)


def _schemas(routes: Iterable[Route]) -> tuple[_Schemas, dict[str, Any]]:
    types: list[Any] = []
    for route in routes:
        for shape in (route.body, route.answer, *(parameter.shape for parameter in route.parameters)):
            if shape is not None and shape not in types:
                types.append(shape)
    schemas, components = msgspec.json.schema_components(types, schema_hook=_anything, ref_template=_REF)
    return _Schemas(types, schemas), components


def _anything(_: type) -> Schema:
    """Describe a type of which msgspec knows nothing: any JSON."""
    return {}


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": list(route.tags),
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
        "x-access": route.access,
        "x-meter": route.meter,
    }
    if route.description:
        operation["description"] = route.description
    if route.scope:
        operation["x-scope"] = route.scope
    if route.access == "open":
        operation["security"] = []
    if route.body is not None or route.body_type:
        operation["requestBody"] = {"required": True, "content": _content(route.body, route.body_type, schemas)}
    return operation


def _parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        | ({"description": "May contain slashes."} if f"{{{name}:path}}" in route.path else {})
        for name in route.names()
    ]
    given = [
        {
            "name": parameter.name,
            "in": parameter.where,
            "required": parameter.required,
            "description": parameter.summary,
            "schema": schemas.of(parameter.shape),
        }
        for parameter in route.parameters
    ]
    return path + given


def _content(shape: Any, media_types: str, schemas: _Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {_JSON: {"schema": schemas.of(shape)}} if shape is not None else {}
    for media_type in filter(None, (each.strip() for each in media_types.split(","))):
        schema = {} if media_type == _JSON else {"type": "string"}
        content.setdefault(media_type, {"schema": schema})
    return content


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    content = _content(route.answer, route.answer_type, schemas)
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if content:
        success["content"] = content
    responses: dict[str, Any] = {str(route.status): success}
    reference = {"$ref": _REF.format(name=_ERROR_NAME[route.form])}
    for status, codes in sorted(_codes_by_status(route).items()):
        responses[str(status)] = {
            "description": ", ".join(f"`{code}`" for code in codes),
            "content": {_JSON: {"schema": reference}},
        }
    return responses


def error_codes(route: Route) -> tuple[str, ...]:
    """Give the codes that a route may answer with, beside those of any path (a host, a method, a defect)."""
    codes: list[str] = []
    if route.access != "open":
        codes += _AUTHENTICATED
    if route.access in {"supervisor", "admin"} or route.scope or route.names():
        codes.append("forbidden")
    if route.names():
        codes.append("not_found")
    if route.body is not None or route.body_type:
        codes += _WITH_BODY
    if route.body is not None:
        codes.append("malformed_json")
    if route.body is not None or route.parameters:
        codes.append("invalid")
    if route.meter in {"generation", "embedding"}:
        codes += _GENERATES
    return tuple(dict.fromkeys((*codes, *route.errors)))


def _codes_by_status(route: Route) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in error_codes(route):
        if code not in STATUS:
            raise ValueError(f"{route.method} {route.path} names the error code {code!r}, which nobody knows")
        status = 400 if code == "invalid" and route.form != "tertulia" else STATUS[code]
        found.setdefault(status, []).append(code)
    return found


def _error_schemas() -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    code: Schema = {"type": "string", "enum": sorted(STATUS), "description": "What programs go by; it is stable."}
    own: Schema = {"code": code, "message": text, "details": {"description": "What the code is about."}}
    return {
        "Error": _object({"error": _object(own, "code", "message"), "requestId": text}, "error", "requestId"),
        "OpenAIError": _object(
            {"error": _object(own | {"type": text, "param": {"type": ["string", "null"]}, "request_id": text}, *own)},
            "error",
        ),
        "AnthropicError": _object(
            {"type": {"const": "error"}, "error": _object(own | {"type": text}, "type", "message"), "request_id": text},
            "type",
            "error",
        ),
    }


def _object(properties: Schema, *required: str) -> Schema:
    needed = [name for name in required if name != "details"]
    return {"type": "object", "properties": properties, "required": needed}
