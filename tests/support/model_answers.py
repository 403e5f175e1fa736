"""What the model server answers, in the wire shapes of the providers: one JSON body, or the chunks of a stream.

Shapes follow the providers' public API references (November 2026) and are checked by the real SDKs in tests/clients.
Everything is computed from the request, so equal requests get equal answers; ids too.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
"""The last chunk of OpenAI's streams."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says: `text`, or calls of tools as (name, arguments)."""

    text: str
    calls: tuple[tuple[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`chunks` are flushed one by one; a single one goes with Content-Length."""

    content_type: str
    chunks: list[bytes]
    stream: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def prompt_of(body: Json) -> str:
    """The last thing said to the model, whatever the provider: its text parts joined, tool results included."""
    messages = body.get("messages") or body.get("input") or body.get("contents") or body.get("prompt") or ""
    last = messages[-1] if isinstance(messages, list) and messages else messages
    return " ".join(_texts(last))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        for key in ("content", "parts", "text", "output", "toolResult", "functionResponse", "response", "json"):
            if key in value:
                return _texts(value[key])
    return []


def tools_of(body: Json) -> list[str]:
    """Names of the tools offered."""
    found: list[str] = []
    for tool in [*(body.get("tools") or []), *((body.get("toolConfig") or {}).get("tools") or [])]:
        for declared in tool.get("functionDeclarations") or [tool]:
            inner = declared.get("function") or declared.get("toolSpec") or declared
            if "name" in inner:
                found.append(inner["name"])
    return found


def answer(path: str, body: Json, reply: Reply) -> Answer | None:
    """The answer to a POST of `body` to `path`; None when no provider has such a path."""
    bare = path.partition("?")[0]
    key = hashlib.sha256(json.dumps(body, sort_keys=True).encode() + reply.text.encode()).hexdigest()
    for pattern, make in _PATHS:
        found = re.search(pattern, bare)
        if found:
            return make(body, reply, key, found)
    return None


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text) or [""]


def _usage(body: Json, reply: Reply) -> tuple[int, int]:
    return len(json.dumps(body)) // 4, max(1, len(_words(reply.text)))


def _json(value: Json, **headers: str) -> Answer:
    return Answer("application/json", [json.dumps(value, separators=(",", ":")).encode()], headers=headers)


def _sse(events: list[tuple[str, Json]], *, named: bool, done: bool = False) -> Answer:
    chunks = [
        (f"event: {name}\n" if named else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"
        for name, data in events
    ]
    return Answer("text/event-stream", chunks + ([DONE] if done else []), stream=True)


# OpenAI Chat Completions


def _chat(body: Json, reply: Reply, key: str, _: Any) -> Answer:
    base = {
        "id": f"chatcmpl-{key[:24]}",
        "created": 1790000000,
        "model": body.get("model"),
        "system_fingerprint": "fp_test",
    }
    asked, said = _usage(body, reply)
    usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    calls = [
        {
            "id": f"call_{key[n : n + 20]}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for n, (name, arguments) in enumerate(reply.calls)
    ]
    finish = "tool_calls" if calls else "stop"
    if not body.get("stream"):
        message: Json = {"role": "assistant", "content": None if calls else reply.text, "refusal": None}
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return _json({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
    deltas: list[Json] = [{"role": "assistant", "content": None if calls else ""}]
    for n, call in enumerate(calls):
        arguments = call["function"]["arguments"]
        deltas.append(
            {"tool_calls": [{"index": n, **call, "function": {"name": call["function"]["name"], "arguments": ""}}]}
        )
        deltas += [
            {"tool_calls": [{"index": n, "function": {"arguments": arguments[i : i + 8]}}]}
            for i in range(0, len(arguments), 8)
        ]
    if not calls:
        deltas += [{"content": word} for word in _words(reply.text)]
    frames = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    frames.append({"index": 0, "delta": {}, "finish_reason": finish})
    events = [{**base, "object": "chat.completion.chunk", "choices": [frame]} for frame in frames]
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return _sse([("", event) for event in events], named=False, done=True)


def _embeddings(body: Json, _reply: Reply, key: str, _: Any) -> Answer:
    texts = body.get("input")
    texts = texts if isinstance(texts, list) else [texts]
    data = [
        {
            "object": "embedding",
            "index": n,
            "embedding": [byte / 255 for byte in hashlib.sha256(str(text).encode()).digest()[:8]],
        }
        for n, text in enumerate(texts)
    ]
    tokens = len(json.dumps(texts)) // 4
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _json({"object": "list", "data": data, "model": body.get("model"), "usage": usage, "id": key[:8]})


# OpenAI Responses


def _responses(body: Json, reply: Reply, key: str, _: Any) -> Answer:
    asked, said = _usage(body, reply)
    usage = {
        "input_tokens": asked, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": asked + said,
    }  # fmt: skip
    whole: Json = {
        "id": f"resp_{key[:40]}", "object": "response", "created_at": 1790000000, "model": body.get("model"), "error": None,
        "incomplete_details": None, "instructions": body.get("instructions"), "metadata": {}, "parallel_tool_calls": True,
        "temperature": 1.0, "tool_choice": "auto", "tools": body.get("tools") or [], "top_p": 1.0,
    }  # fmt: skip
    part = {"type": "output_text", "text": reply.text, "annotations": []}
    item: Json = {
        "id": f"msg_{key[:40]}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    items = [
        {
            "id": f"fc_{key[n : n + 30]}", "type": "function_call", "status": "completed", "call_id": f"call_{key[n : n + 20]}",
            "name": name, "arguments": json.dumps(arguments),
        }
        for n, (name, arguments) in enumerate(reply.calls)
    ] or [item]  # fmt: skip
    final = {**whole, "status": "completed", "output": items, "usage": usage}
    if not body.get("stream"):
        return _json(final)
    started = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
    ]
    for index, out in enumerate(items):
        at = {"output_index": index, "item_id": out["id"]}
        if out["type"] == "message":
            spot = {**at, "content_index": 0}
            opened = {**out, "status": "in_progress", "content": []}
            events.append({"type": "response.output_item.added", "output_index": index, "item": opened})
            events.append({"type": "response.content_part.added", **spot, "part": {**part, "text": ""}})
            events += [
                {"type": "response.output_text.delta", **spot, "delta": w, "logprobs": []} for w in _words(reply.text)
            ]
            events.append({"type": "response.output_text.done", **spot, "text": reply.text, "logprobs": []})
            events.append({"type": "response.content_part.done", **spot, "part": part})
        else:
            opened = {**out, "status": "in_progress", "arguments": ""}
            events.append({"type": "response.output_item.added", "output_index": index, "item": opened})
            events.append({"type": "response.function_call_arguments.delta", **at, "delta": out["arguments"]})
            done = {"arguments": out["arguments"], "name": out["name"]}
            events.append({"type": "response.function_call_arguments.done", **at, **done})
        events.append({"type": "response.output_item.done", "output_index": index, "item": out})
    events.append({"type": "response.completed", "response": final})
    return _sse([(e["type"], {**e, "sequence_number": n}) for n, e in enumerate(events)], named=True)


# Anthropic Messages


def _messages(body: Json, reply: Reply, key: str, _: Any) -> Answer:
    asked, said = _usage(body, reply)
    usage = {
        "input_tokens": asked,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": said,
    }
    blocks: list[Json] = [
        {"type": "tool_use", "id": f"toolu_{key[n : n + 20]}", "name": name, "input": arguments}
        for n, (name, arguments) in enumerate(reply.calls)
    ] or [{"type": "text", "text": reply.text}]
    stop = "tool_use" if reply.calls else "end_turn"
    whole: Json = {
        "id": f"msg_{key[:24]}", "type": "message", "role": "assistant", "model": body.get("model"), "content": blocks,
        "stop_reason": stop, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    if not body.get("stream"):
        return _json(whole, **{"request-id": f"req_{key[:20]}"})
    opened = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": opened}, {"type": "ping"}]
    for index, block in enumerate(blocks):
        empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        if block["type"] == "text":
            deltas = [{"type": "text_delta", "text": word} for word in _words(reply.text)]
        else:
            text = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": text[i : i + 8]} for i in range(0, len(text), 8)]
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": said}})
    events.append({"type": "message_stop"})
    return _sse([(event["type"], event) for event in events], named=True)


# Gemini


def _gemini(body: Json, reply: Reply, key: str, found: re.Match[str]) -> Answer:
    asked, said = _usage(body, reply)
    usage = {"promptTokenCount": asked, "candidatesTokenCount": said, "totalTokenCount": asked + said}
    base = {"modelVersion": found[1], "responseId": key[:16]}
    calls = [{"functionCall": {"name": name, "args": arguments}} for name, arguments in reply.calls]

    def frame(parts: list[Json], *, last: bool) -> Json:
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if last:
            candidate["finishReason"] = "STOP"
        return {"candidates": [candidate], **base, **({"usageMetadata": usage} if last else {})}

    if found[2] == "generateContent":
        return _json(frame(calls or [{"text": reply.text}], last=True))
    parts = calls or [{"text": word} for word in _words(reply.text)]
    return _sse([("", frame([part], last=n == len(parts) - 1)) for n, part in enumerate(parts)], named=False)


# Amazon Bedrock


def event_frame(kind: str, payload: Json) -> bytes:
    """One message of `application/vnd.amazon.eventstream`: prelude, headers, payload, each part under a CRC-32."""
    headers = b""
    for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")):
        headers += struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))


def _converse(body: Json, reply: Reply, key: str, found: re.Match[str]) -> Answer:
    asked, said = _usage(body, reply)
    usage = {"inputTokens": asked, "outputTokens": said, "totalTokens": asked + said}
    stop = "tool_use" if reply.calls else "end_turn"
    calls = [
        {"toolUse": {"toolUseId": f"tooluse_{key[n : n + 22]}", "name": name, "input": arguments}}
        for n, (name, arguments) in enumerate(reply.calls)
    ]
    if found[1] == "converse":
        message = {"role": "assistant", "content": calls or [{"text": reply.text}]}
        return _json({"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 7}})
    frames = [event_frame("messageStart", {"role": "assistant"})]
    for index, call in enumerate(calls):
        use = call["toolUse"]
        start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
        frames.append(event_frame("contentBlockStart", {"start": start, "contentBlockIndex": index}))
        delta = {"toolUse": {"input": json.dumps(use["input"])}}
        frames.append(event_frame("contentBlockDelta", {"delta": delta, "contentBlockIndex": index}))
        frames.append(event_frame("contentBlockStop", {"contentBlockIndex": index}))
    if not calls:
        frames += [
            event_frame("contentBlockDelta", {"delta": {"text": w}, "contentBlockIndex": 0}) for w in _words(reply.text)
        ]
        frames.append(event_frame("contentBlockStop", {"contentBlockIndex": 0}))
    frames.append(event_frame("messageStop", {"stopReason": stop}))
    frames.append(event_frame("metadata", {"usage": usage, "metrics": {"latencyMs": 7}}))
    return Answer("application/vnd.amazon.eventstream", frames, stream=True)


# Ollama: streams unless told not to, one JSON object a line


def _ollama(body: Json, reply: Reply, _key: str, found: re.Match[str]) -> Answer:
    asked, said = _usage(body, reply)
    base = {"model": body.get("model"), "created_at": "2026-09-21T10:00:00.000000Z"}
    chat = found[1] == "chat"
    calls = [{"function": {"name": name, "arguments": arguments}} for name, arguments in reply.calls]

    def line(text: str, **rest: Any) -> Json:
        said_here: Json = {"message": {"role": "assistant", "content": text}} if chat else {"response": text}
        return {**base, **said_here, **rest}

    ending = {"done": True, "done_reason": "stop", "total_duration": 7, "prompt_eval_count": asked, "eval_count": said}
    if body.get("stream") is False:
        whole = line("" if calls else reply.text, **ending)
        if calls and chat:
            whole["message"]["tool_calls"] = calls
        return _json(whole)
    lines = [line(word, done=False) for word in ([] if calls else _words(reply.text))]
    if calls and chat:
        lines.append({**base, "message": {"role": "assistant", "content": "", "tool_calls": calls}, "done": False})
    lines.append(line("", **ending))
    return Answer("application/x-ndjson", [json.dumps(item).encode() + b"\n" for item in lines], stream=True)


_PATHS = (
    (r"/chat/completions$", _chat),
    (r"/responses$", _responses),
    (r"/embeddings$", _embeddings),
    (r"/v1/messages$", _messages),
    (r"/models/([^/:]+):(generateContent|streamGenerateContent)$", _gemini),
    (r"/model/[^/]+/(converse|converse-stream)$", _converse),
    (r"/api/(chat|generate)$", _ollama),
)
