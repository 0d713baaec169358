"""The embedded model: a GGUF file served by llama.cpp in a child process of ours, over loopback HTTP.

`gguf` finds the file; `install` fetches it, with `clients`, `fetch`, `unpack` and `release`; `child` is the process
that serves it, `spawn` is one such process seen from outside, and `process` keeps one running; `provider` is the port
to it. What goes between parent and child at the start is `handshake`.

The child speaks OpenAI's chat completions, with these ways of its own, measured with xllamacpp 2026.10.11549 and
SmolLM2-135M; an adapter has to know them:

- After a streamed answer it closes the connection without saying so (its head promises `Keep-Alive`), and an idle
  one after 5 s. So each request goes on a connection of its own, with `Connection: close` (`Endpoint.headers`).
- `stream_options.include_usage` is obeyed: a last chunk with `choices: []`. Without it there is no usage.
- The first chunk carries `{"role": "assistant", "content": null}`. `timings` stands in the last chunk, and is no
  part of OpenAI's form. `finish_reason` is `stop` or `length`.
- A request without `max_tokens` ends at `Engine.max_tokens`; `max_tokens: 0` still makes one token.
- `n` is at most the number of slots, and usage then counts one choice only: ask once a choice instead.
- `tools` and `tool_choice`, `required` too, are ignored without a word: the model's template knows no tools. Images
  are refused with 500. Embeddings: 501.
- A last message of the assistant is gone on with. The blocking answer begins with that message's text again, the
  stream does not.
- Errors are `{"error": {"code": int, "message", "type"}}`: 401 `authentication_error` for a wrong key, 400
  `exceed_context_size_error` with `n_prompt_tokens` and `n_ctx` for a prompt that is too long, 400
  `invalid_request_error` for what cannot be read.
- A client that leaves a stream stops it with the next token, one that leaves a blocking request within a second.
- `temperature: 0` gives the same answer each time while one request runs; two at once share a batch, and sums of
  floating-point numbers in another order may then choose another of two equally good tokens.
"""
