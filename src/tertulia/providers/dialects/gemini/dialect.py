"""The dialect: `POST /v1beta/models/{model}:generateContent`."""

from collections.abc import Mapping
from typing import Final

from tertulia.kernel.secret import Secret
from tertulia.net.sse import IMAGE_LINE_CAP, SseParser
from tertulia.providers.dialects.decoder import StreamDecoder, WholeDecoder
from tertulia.providers.dialects.gemini.answer import GeminiAnswer
from tertulia.providers.dialects.gemini.request import encode
from tertulia.providers.dialects.reading import count_of, dict_of, dicts_of, list_of, read_json, text_of, without_nul
from tertulia.providers.failures import failure_of, unreadable
from tertulia.providers.port import Decoder, Encoded, Failure, Listed, Profile, UpstreamFault
from tertulia.turn.request import Request


class Gemini:
    """The wire of Gemini. `line_cap` bounds one event of a stream, in bytes."""

    models_path = "/v1beta/models?pageSize=1000"

    def __init__(self, *, line_cap: int = IMAGE_LINE_CAP) -> None:
        self._line_cap: Final = line_cap

    def credential(self, key: Secret) -> Mapping[str, str]:
        """Give the headers that carry a key: never the query, which is logged on the way."""
        return {"x-goog-api-key": key.reveal()}

    def encode(self, request: Request, model: str, profile: Profile) -> Encoded:
        """Write the request.

        Raises `Invalid` for content that this wire cannot carry.
        """
        return encode(request, model, profile)

    def decoder(self, request: Request, *, streamed: bool) -> Decoder:
        """Make the reader of one answer."""
        del request
        return StreamDecoder(SseParser(self._line_cap), GeminiAnswer()) if streamed else WholeDecoder(GeminiAnswer())

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify an answer that is not 2xx."""
        return failure_of(status, headers, without_nul(body))

    def models(self, body: bytes) -> tuple[Listed, ...]:
        """Read `{"models": [{"name": "models/…"}]}`, as far as they generate content."""
        entries = dict_of(read_json(without_nul(body))).get("models")
        if not isinstance(entries, list):
            raise UpstreamFault(unreadable("its model list has no `models`."))
        return tuple(
            Listed(
                id=name.removeprefix("models/"),
                name=text_of(fields.get("displayName")),
                context_window=count_of(fields, "inputTokenLimit"),
                max_output=count_of(fields, "outputTokenLimit"),
            )
            for fields in dicts_of(entries)
            if (name := text_of(fields.get("name")))
            and "generateContent" in list_of(fields.get("supportedGenerationMethods", ["generateContent"]))
        )
