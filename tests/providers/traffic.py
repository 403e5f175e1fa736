"""What the tests of this room share: recordings with their provider, and encoders that play a provider's stream."""

from __future__ import annotations

import functools
import itertools
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from playhead.providers.detect import recognise
from tests.support.published import Published, exchanges

if TYPE_CHECKING:
    from playhead.providers.base import NormalRequest, NormalResponse, Provider

_Cut = TypeVar("_Cut", str, bytes)


class Told(NamedTuple):
    """A published exchange and what the room makes of it."""

    published: Published
    provider: Provider
    request: NormalRequest
    response: NormalResponse

    @property
    def answer(self) -> Any:
        """The answer's JSON, None when it was streamed."""
        try:
            return json.loads(self.published.response_body)
        except ValueError:
            return None


def read(exchange: Published) -> Told | None:
    """The exchange, read; None for plain HTTP."""
    provider = recognise(exchange.method, exchange.host, exchange.path, exchange.request_headers, exchange.request_body)
    if provider is None:
        return None
    request = provider.normal_request(exchange.method, exchange.path, exchange.request_headers, exchange.request_body)
    answer = (exchange.status, exchange.response_headers, exchange.response_body)
    return Told(exchange, provider, request, provider.normal_response(*answer, request))


@functools.cache
def recordings() -> tuple[Told, ...]:
    """All published exchanges with a provider."""
    return tuple(told for told in map(read, exchanges()) if told is not None)


def recorded(name: str) -> Told:
    """The one recording whose `source/file[index]` ends with `name`."""
    (told,) = (told for told in recordings() if str(told.published).endswith(name))
    return told


def asked(host: str, path: str, body: Any, *, method: str = "POST") -> tuple[Provider, NormalRequest]:
    """A request as a client would send it, read."""
    data = json.dumps(body).encode()
    provider = recognise(method, host, path, [("content-type", "application/json")], data)
    assert provider is not None
    return provider, provider.normal_request(method, path, [], data)


def answered(
    host: str, path: str, body: bytes | dict[str, Any] | list[Any], kind: str = "application/json", status: int = 200
) -> NormalResponse:
    """An answer to a minimal request for `path`, read."""
    provider, request = asked(host, path, {"model": "m", "messages": [], "input": "", "prompt": ""})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return provider.normal_response(status, [("Content-Type", kind)], data, request)


def events(*values: Any, named: bool = False) -> bytes:
    """Server-sent events, one for each value."""
    return b"".join(
        (f"event: {value['type']}\n" if named else "").encode() + f"data: {json.dumps(value)}\n\n".encode()
        for value in values
    )


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of Amazon's binary event stream."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event_frame(kind: str, payload: Any) -> bytes:
    """An event message with a JSON payload."""
    return frame(
        {":event-type": kind, ":content-type": "application/json", ":message-type": "event"},
        json.dumps(payload).encode(),
    )


def cut_up(whole: _Cut, cuts: list[int]) -> list[_Cut]:
    """`whole` in pieces that end at any of `cuts`, taken round its length."""
    places = [0, *sorted({cut % (len(whole) + 1) for cut in cuts}), len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(places)]
