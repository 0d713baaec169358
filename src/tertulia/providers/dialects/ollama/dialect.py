"""The dialect: `POST /api/chat`."""

from collections.abc import Mapping
from typing import Final

from tertulia.kernel.secret import Secret
from tertulia.net.sse import LINE_CAP, LineParser
from tertulia.providers.dialects.decoder import StreamDecoder, WholeDecoder
from tertulia.providers.dialects.ollama.answer import OllamaAnswer
from tertulia.providers.dialects.ollama.request import encode
from tertulia.providers.dialects.reading import dict_of, dicts_of, read_json, text_of, without_nul
from tertulia.providers.failures import failure_of, unreadable
from tertulia.providers.port import Decoder, Encoded, Failure, Listed, Profile, UpstreamFault
from tertulia.turn.request import Request


class Ollama:
    """The wire of Ollama. `line_cap` bounds one line of a stream, in bytes."""

    models_path = "/api/tags"

    def __init__(self, *, line_cap: int = LINE_CAP) -> None:
        self._line_cap: Final = line_cap

    def credential(self, key: Secret) -> Mapping[str, str]:
        """Give the headers that carry a key: ollama.com wants one, a local server does not."""
        return {"authorization": f"Bearer {key.reveal()}"}

    def encode(self, request: Request, model: str, profile: Profile) -> Encoded:
        """Write the request.

        Raises `Invalid` for content that this wire cannot carry.
        """
        return encode(request, model, profile)

    def decoder(self, request: Request, *, streamed: bool) -> Decoder:
        """Make the reader of one answer."""
        del request
        return StreamDecoder(LineParser(self._line_cap), OllamaAnswer()) if streamed else WholeDecoder(OllamaAnswer())

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify an answer that is not 2xx."""
        return failure_of(status, headers, without_nul(body))

    def models(self, body: bytes) -> tuple[Listed, ...]:
        """Read `{"models": [{"name": "llama3:8b"}]}`."""
        entries = dict_of(read_json(without_nul(body))).get("models")
        if not isinstance(entries, list):
            raise UpstreamFault(unreadable("its model list has no `models`."))
        names = (text_of(fields.get("model")) or text_of(fields.get("name")) for fields in dicts_of(entries))
        return tuple(Listed(name) for name in names if name)
