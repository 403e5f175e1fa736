"""The models' own formats inside Bedrock Invoke that no other module reads: Amazon Titan, Meta Llama, Mistral and Cohere
text completion. They share one pattern, a prompt in and a list of texts out, so tables of names do."""

from __future__ import annotations

from playhead.providers.base import Message, NormalRequest, NormalResponse, Part, Usage, other, text_part
from playhead.providers.raw import (
    JsonObject,
    as_count,
    as_name,
    as_object,
    as_objects,
    as_text,
    first,
    total,
    without,
)

_PROMPTS = ("prompt", "inputText", "message", "texts")
_TEXTS = ("outputText", "generation", "text")
_LISTS = ("results", "outputs", "generations")
_STOPS = ("completionReason", "stop_reason", "finish_reason")
_PARAMS = {"maxTokenCount": "max_tokens", "max_gen_len": "max_tokens", "topP": "top_p", "p": "top_p", "k": "top_k"}
_PARAMS |= {"stopSequences": "stop", "stop_sequences": "stop"}
_ROLES = {"CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}


def read_request(data: JsonObject) -> NormalRequest:
    """A prompt, with Cohere's `chat_history` before it and `preamble` as system."""
    messages = []
    for turn in as_objects(data.get("chat_history")):
        role = _ROLES.get(as_text(turn.get("role")), "user")
        messages.append(Message(role, [text_part(as_text(turn.get("message")))]))
    prompt = first(*(data.get(name) for name in _PROMPTS))
    prompts = prompt if isinstance(prompt, list) else [] if prompt is None else [prompt]
    messages += [Message("user", [text_part(each) if isinstance(each, str) else other(each)]) for each in prompts]
    config = {**without(data, (*_PROMPTS, "textGenerationConfig", "chat_history", "preamble")), **_config(data)}
    params = {_PARAMS.get(name, name): value for name, value in config.items()}
    return NormalRequest("", "", system=as_name(data.get("preamble")), messages=messages, params=params)


def _config(data: JsonObject) -> JsonObject:
    return without(as_object(data.get("textGenerationConfig")), ())


def read_response(data: JsonObject) -> NormalResponse:
    """A completion: its texts, in a list or at the top. An embedding has none."""
    entries = next((as_objects(data[name]) for name in _LISTS if as_objects(data.get(name))), [data])
    content: list[Part] = []
    for position, entry in enumerate(entries):
        text = _text(entry)
        if text is not None:
            content.append({**text_part(text), "choice": position} if position else text_part(text))
    return NormalResponse(content, _usage(data, entries), _stop(entries[0]) or _stop(data), None, _id(data))


def _text(entry: JsonObject) -> str | None:
    value = first(*(entry.get(name) for name in _TEXTS))
    return value if isinstance(value, str) else None


def _stop(entry: JsonObject) -> str | None:
    return as_name(first(*(entry.get(name) for name in _STOPS)))


def _id(data: JsonObject) -> str | None:
    return as_name(first(data.get("response_id"), data.get("generation_id"), data.get("id")))


def _usage(data: JsonObject, entries: list[JsonObject]) -> Usage:
    """Titan and Llama count in the body; Mistral and Cohere only beside it, see usage.of_bedrock_headers."""
    written = first(data.get("generation_token_count"), data.get("totalOutputTextTokenCount"))
    return Usage(
        input_tokens=as_count(first(data.get("prompt_token_count"), data.get("inputTextTokenCount"))),
        output_tokens=as_count(written)
        if written is not None
        else total(*(as_count(each.get("tokenCount")) for each in entries)),
    )


def fold_chunks(chunks: list[JsonObject]) -> JsonObject:
    """One completion from its chunks: texts joined, everything else as the last chunk that has it says. Cohere's closing
    event repeats the whole answer under `response`."""
    whole: JsonObject = {}
    pieces: list[str] = []
    for chunk in chunks:
        if isinstance(chunk.get("response"), dict):
            whole.update(without(chunk["response"], _TEXTS))
            continue
        entry = next((as_objects(chunk[name])[0] for name in _LISTS if as_objects(chunk.get(name))), chunk)
        pieces.append(as_text(first(*(entry.get(name) for name in _TEXTS))))
        whole.update(without({**chunk, **entry}, (*_TEXTS, *_LISTS)))
    return {**whole, "text": "".join(pieces)} if chunks else whole
