"""What every provider's traffic is read into, and the provider that reads it.

One question and its answer become a `NormalRequest` and a `NormalResponse`, whatever API they were spoken in. A content
part is a dict by `type`:

    {"type": "text", "text"}                    {"type": "reasoning", "text", "signature"?, "redacted"?}
    {"type": "tool_call", "id", "name", "arguments", "arguments_text", "server"?}
    {"type": "tool_result", "id", "name", "content": [parts], "is_error", "server"?}
    {"type": "image", "raw"}                    {"type": "other", "raw"}

`server` marks a tool the provider runs itself. `other` keeps what this version does not know, so that a new kind of block
never breaks a recording. `choice: n` marks parts of an alternative answer (n > 0) of one that was asked for several.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from playhead.providers.raw import Headers, JsonObject, as_object, as_text, decoded, encoded, total

if TYPE_CHECKING:
    from collections.abc import Callable

Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. Input and output are inclusive: cached and cache-write are parts of input, reasoning is a part
    of output. None = the provider did not say; never a guess and never 0 for unknown.

    `cache_write_1h_tokens` is the part of cache-write that is kept for an hour and billed differently (Anthropic)."""

    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_1h_tokens: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Input plus output; None when neither is known."""
        return total(self.input_tokens, self.output_tokens)

    def to_json(self) -> JsonObject:
        """The `usage` object of every `--json`."""
        return {
            "input_tokens": self.input_tokens,
            "cached_input_tokens": self.cached_input_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "output_tokens": self.output_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks its client to make. `arguments` is the decoded value, or `arguments_text` itself where that
    is no JSON (a cut stream, a free-form tool); `id` is None where the API has none (Ollama)."""

    id: str | None
    name: str
    arguments: Any
    arguments_text: str

    @classmethod
    def of_text(cls, call_id: str | None, name: str, text: str) -> ToolCall:
        """From an API that carries arguments as text. Empty text is a call without arguments."""
        value = decoded(text) if text.strip() else {}
        return cls(call_id, name, text if value is None else value, text)

    @classmethod
    def of_value(cls, call_id: str | None, name: str, value: Any) -> ToolCall:
        """From an API that carries arguments as JSON."""
        return cls(call_id, name, value, encoded(value))

    def to_json(self) -> JsonObject:
        """As in `tool_calls` of `inspect --json`."""
        return {"id": self.id, "name": self.name, "arguments": self.arguments, "arguments_text": self.arguments_text}

    def to_part(self, *, server: bool = False) -> Part:
        """As a content part."""
        return {"type": "tool_call", **self.to_json(), **({"server": True} if server else {})}


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the conversation. `role` is the provider's word, except that Gemini's `model` reads `assistant`."""

    role: str
    content: list[Part]

    def to_json(self) -> JsonObject:
        """As in `messages` of `inspect --json`."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class NormalRequest:
    """A question to a model.

    `messages` mirrors the provider's own list one to one, so that an index means the same in both. `system` is the
    provider's system field, or else the text of the leading system and developer messages (which stay in `messages`).
    `tools` are {"type", "name", "description", "parameters"} with "raw" where the tool is not a plain function. `params`
    are the remaining fields; the common ones go by OpenAI's names (temperature, top_p, top_k, max_tokens, stop, seed).
    """

    provider: str
    operation: str
    model: str | None = None
    system: str | None = None
    messages: list[Message] = field(default_factory=list)
    tools: list[JsonObject] = field(default_factory=list)
    params: JsonObject = field(default_factory=dict)
    stream: bool = False

    def to_json(self) -> JsonObject:
        """As `request` of `inspect --json`."""
        return {
            "provider": self.provider,
            "operation": self.operation,
            "model": self.model,
            "system": self.system,
            "messages": [message.to_json() for message in self.messages],
            "tools": self.tools,
            "params": self.params,
            "stream": self.stream,
        }


@dataclass(frozen=True, slots=True)
class NormalResponse:
    """A model's answer. `content` has everything in order; `text`, `reasoning` and `tool_calls` are views of it, without
    alternative choices and without tools the provider ran. `stop_reason` is the provider's word, None when the answer
    does not say, as in a cut stream. `error` is {"type", "message"} or None; a cut stream can have content and an error.
    `tier` is the service tier the answer says it was served on (OpenAI's flex, priority, …), which has its own prices."""

    content: list[Part] = field(default_factory=list)
    usage: Usage = Usage()
    stop_reason: str | None = None
    model: str | None = None
    id: str | None = None
    error: JsonObject | None = None
    tier: str | None = None

    @property
    def text(self) -> str:
        """What the model said."""
        return "".join(part["text"] for part in self._parts("text"))

    @property
    def reasoning(self) -> str:
        """What the model thought, as far as the provider shows it."""
        return "\n\n".join(part["text"] for part in self._parts("reasoning") if part["text"])

    @property
    def tool_calls(self) -> list[ToolCall]:
        """What the client is asked to call."""
        calls = [part for part in self._parts("tool_call") if not part.get("server")]
        return [ToolCall(call["id"], call["name"], call["arguments"], call["arguments_text"]) for call in calls]

    def _parts(self, kind: str) -> list[Part]:
        return [part for part in self.content if part["type"] == kind and not part.get("choice")]

    def to_json(self) -> JsonObject:
        """As `response` of `inspect --json`."""
        return {
            "text": self.text,
            "reasoning": self.reasoning,
            "tool_calls": [call.to_json() for call in self.tool_calls],
            "content": self.content,
            "usage": self.usage.to_json(),
            "stop_reason": self.stop_reason,
            "model": self.model,
            "id": self.id,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came: request-line path with query, headers, content-decoded body, and the body's JSON object."""

    method: str
    path: str
    headers: Headers
    body: bytes
    data: JsonObject


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it came: status code, headers, body bytes without transfer and content coding."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """One API call as providers speak it: `family` (openai, anthropic, gemini, bedrock, ollama), `operation` (chat,
    responses, messages, embeddings, …) and its two readers. The readers never raise, whatever the bytes."""

    family: str
    operation: str
    read_request: Callable[[Asked], NormalRequest]
    read_response: Callable[[Answer], NormalResponse]


@dataclass(frozen=True, slots=True)
class Provider:
    """A vendor speaking a shape: `name` is the vendor where the host tells (openai, azure, groq, bedrock, …), else the
    family. Neither method raises, whatever the bytes."""

    name: str
    shape: Shape

    @property
    def operation(self) -> str:
        """Which API call: chat, responses, messages, embeddings, …"""
        return self.shape.operation

    def normal_request(self, method: str, path: str, headers: Headers, body: bytes) -> NormalRequest:
        """Read a request. A body that is no JSON object is kept as one `other` part."""
        value = decoded(body)
        asked = Asked(method, path, headers, body, as_object(value))
        read = self.shape.read_request(asked)
        messages = read.messages
        if body and not isinstance(value, dict):
            messages = [Message("unknown", [other(body.decode("utf-8", "replace"))])]
        return NormalRequest(
            self.name, self.operation, read.model, read.system, messages, read.tools, read.params, stream=read.stream
        )

    def normal_response(
        self, status: int, headers: Headers, body: bytes, request: NormalRequest | None = None
    ) -> NormalResponse:
        """Read an answer, streamed or not. The model named in the request stands in for one the answer omits."""
        read = self.shape.read_response(Answer(status, headers, body))
        if read.model is None and request is not None and read.error is None:
            return replace(read, model=request.model)
        return read


def text_part(text: str) -> Part:
    """Something said."""
    return {"type": "text", "text": text}


def reasoning_part(text: str, signature: Any = None) -> Part:
    """Something thought, with the provider's seal when there is one."""
    return {"type": "reasoning", "text": text, **({"signature": signature} if signature else {})}


def result_part(
    call_id: str | None, content: list[Part], *, name: str | None = None, is_error: bool | None = None
) -> Part:
    """What a tool call came to."""
    return {"type": "tool_result", "id": call_id, "name": name, "content": content, "is_error": is_error}


def image(raw: Any) -> Part:
    """A picture, as the provider's block."""
    return {"type": "image", "raw": raw}


def other(raw: Any) -> Part:
    """Anything this version does not read."""
    return {"type": "other", "raw": raw}


def tool(name: Any, description: Any, parameters: Any, *, kind: str = "function", raw: Any = None) -> JsonObject:
    """One entry of `NormalRequest.tools`."""
    entry = {"type": kind, "name": as_text(name), "description": as_text(description), "parameters": parameters}
    return entry if raw is None else {**entry, "raw": raw}


def leading_system(messages: list[Message]) -> str | None:
    """The text of the system and developer messages that open a conversation."""
    texts = []
    for message in messages:
        if message.role not in {"system", "developer"}:
            break
        texts.append(text_of(message.content))
    return "\n\n".join(texts) or None


def text_of(parts: list[Part]) -> str:
    """The plain text among parts."""
    return "".join(part["text"] for part in parts if part["type"] == "text")
