"""Hostile input: whatever the bytes, the readers answer, and what they answer can be written as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.providers.base import Provider
from playhead.providers.detect import _RULES
from tests.providers.traffic import event_frame, recordings

_PROVIDERS = [Provider("x", shape) for shape in dict.fromkeys(rule.shape for rule in _RULES)]
_KINDS = st.sampled_from(
    ["", "application/json", "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"]
)
_ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10**20) | st.floats() | st.text(max_size=4) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "role", "name", "index", "id"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)
_SAMPLES = sorted(
    {
        (told.provider.operation, told.request.stream, bool(told.response.tool_calls), bool(told.request.tools)): told
        for told in recordings()
    }.values(),
    key=lambda told: str(told.published),
)


def _read(provider: Provider, path: str, body: bytes, answer: bytes, kind: str, status: int = 200) -> None:
    request = provider.normal_request("POST", path, [], body)
    response = provider.normal_response(status, [("content-type", kind)], answer, request)
    json.dumps([request.to_json(), response.to_json()])
    assert isinstance(response.text, str)
    assert all(isinstance(call.name, str) and isinstance(call.arguments_text, str) for call in response.tool_calls)
    for count in response.usage.to_json().values():
        assert count is None or (type(count) is int and count >= 0)


@pytest.mark.parametrize("provider", _PROVIDERS, ids=lambda provider: f"{provider.shape.family}-{provider.operation}")
@settings(max_examples=40)
@given(st.binary(max_size=80), st.binary(max_size=80), _KINDS, st.sampled_from([200, 429, 500]))
def test_any_bytes(provider: Provider, body: bytes, answer: bytes, kind: str, status: int) -> None:
    """Bytes that are nothing at all, under every content type."""
    _read(provider, "/x", body, answer, kind, status)


@pytest.mark.parametrize("provider", _PROVIDERS, ids=lambda provider: f"{provider.shape.family}-{provider.operation}")
@settings(max_examples=40)
@given(_ODD, _ODD)
def test_any_json(provider: Provider, body: Any, answer: Any) -> None:
    """JSON of any shape, as a body, as an event, as a line and as a frame."""
    data = json.dumps(answer).encode()
    for wrapped, kind in (
        (data, ""),
        (b"data: " + data + b"\n\n", "text/event-stream"),
        (data + b"\n{}\n", "application/x-ndjson"),
        (event_frame("chunk", answer), "application/vnd.amazon.eventstream"),
    ):
        _read(provider, "/x", json.dumps(body).encode(), wrapped, kind)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in _places(each, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], odd)
    return copy


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_SAMPLES), st.integers(0, 10**6), st.integers(0, 10**6), _ODD)
def test_real_traffic_with_one_value_replaced(told: Any, event: int, place: int, odd: Any) -> None:
    """A recorded request and a recorded answer or event in which any one value is something else."""
    published = told.published
    body = published.request_body
    if body:
        sent = json.loads(body)
        places = _places(sent)
        body = json.dumps(_replaced(sent, places[place % len(places)], odd)).encode()
    answer, kind = published.response_body, dict(published.response_headers).get("Content-Type", "")
    if told.answer is not None:
        places = _places(told.answer)
        answer = json.dumps(_replaced(told.answer, places[place % len(places)], odd)).encode()
    elif answer.startswith((b"event:", b"data:")):
        lines = answer.split(b"\n")
        at = [index for index, line in enumerate(lines) if line.startswith(b"data: {")]
        chosen = at[event % len(at)]
        value = json.loads(lines[chosen][6:])
        places = _places(value)
        lines[chosen] = b"data: " + json.dumps(_replaced(value, places[place % len(places)], odd)).encode()
        answer, kind = b"\n".join(lines), "text/event-stream"
    _read(told.provider, published.path, body, answer, kind)


@pytest.mark.parametrize("provider", _PROVIDERS, ids=lambda provider: f"{provider.shape.family}-{provider.operation}")
def test_depth_and_size(provider: Provider) -> None:
    """Nesting beyond any stack, numbers beyond any machine, an index beyond any list."""
    deep = b'{"content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    huge = b'{"usage": {"prompt_tokens": ' + b"9" * 10_000 + b"}}"
    far = b'data: {"index": 999999999999, "type": "content_block_start", "choices": [{"index": 1e300, "delta": {"tool_calls": [{"index": 99999999999}]}}]}\n\n'
    for answer in (deep, huge, far):
        _read(provider, "/x", answer, answer, "text/event-stream" if answer is far else "application/json")


def test_what_cannot_be_read_is_named_and_kept() -> None:
    """A page of HTML where JSON was due: an error, and the page as it came."""
    for provider in _PROVIDERS:
        page = provider.normal_response(200, [("content-type", "text/html")], b"<html>\xff</html>")
        assert page.error == {"type": "undecodable", "message": "the body is not the JSON this API answers with"}
        assert page.content[-1] == {"type": "other", "raw": "<html>\ufffd</html>"}
        gateway = provider.normal_response(502, [], b"<html>Bad Gateway</html>")
        assert gateway.error == {"type": "http_502", "message": ""}
        empty = provider.normal_response(200, [], b"")
        assert (empty.error or {}).get("type") == "undecodable"
        request = provider.normal_request("POST", "/x", [], b"\xff[")
        assert [message.to_json() for message in request.messages] == [
            {"role": "unknown", "content": [{"type": "other", "raw": "\ufffd["}]}
        ]


def test_numbers_that_json_does_not_have() -> None:
    """NaN and infinities, which some servers write, come out as text."""
    (provider,) = (each for each in _PROVIDERS if each.operation == "chat" and each.shape.family == "openai")
    body = b'{"choices": [{"message": {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{\\"x\\": NaN}"}}]}}]}'
    assert provider.normal_response(200, [], body).tool_calls[0].arguments == {"x": "NaN"}
