"""What a live request hears that is not on the tape: well-formed for every provider, and retried by no SDK.

The SDK tests use the real SDKs against a raw socket server and count what arrives.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from playhead.core.boundary import REFUSED
from playhead.core.message import header, parse_answer
from playhead.matching.divergence import DivergenceClass
from playhead.player.refusal import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGE = 'playhead replay: diverged at step 4\n  expected: "ö"\n  next: playhead inspect 7f3a2b9c:4'
FAMILIES = ["openai", "anthropic", "gemini", "bedrock", "ollama", None]


def told(family: str | None, body: Any) -> str:
    """The message where this family's clients look for it."""
    if family == "bedrock":
        return body["message"]
    if family == "ollama":
        return body["error"]
    return body["error"]["message"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("step", [4, None])
def test_a_refusal_is_a_whole_answer_in_the_family_s_shape(family: str | None, step: int | None) -> None:
    """Status 400, length right, the class and step in a header, the report where the SDK looks for a message."""
    for kind in DivergenceClass:
        answer = parse_answer(refusal(family, kind.value, step, MESSAGE))
        assert answer.whole
        assert answer.status == 400
        assert header(answer.headers, "content-length") == str(len(answer.body))
        assert header(answer.headers, "x-should-retry") == "false"
        assert header(answer.headers, REFUSED) == (f"{kind.value}; step=4" if step else kind.value)
        assert told(family, json.loads(answer.body)) == MESSAGE
    if family == "anthropic":
        assert json.loads(answer.body)["type"] == "error"
    if family == "gemini":
        assert json.loads(answer.body)["error"]["code"] == 400
    if family == "bedrock":
        assert header(answer.headers, "x-amzn-errortype") == "ValidationException"


class RefusingServer:
    """Answers every request on 127.0.0.1 with one refusal, and keeps the request lines."""

    def __init__(self, family: str | None) -> None:
        self.answer = refusal(family, "changed", 4, MESSAGE)
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = client.recv(65536)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                while len(data) < int(length[1] if length else 0):
                    data += client.recv(65536)
                data = data[int(length[1] if length else 0) :]
                self.requests.append(head.split(b"\r\n")[0])
                client.sendall(self.answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def refusing(family: str | None) -> Iterator[RefusingServer]:
    server = RefusingServer(family)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def openai_client(url: str) -> Iterator[Any]:
    import openai

    with openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        yield client


@contextlib.contextmanager
def anthropic_client(url: str) -> Iterator[Any]:
    import anthropic

    with anthropic.Anthropic(base_url=url, api_key="k") as client:
        yield client


@contextlib.contextmanager
def gemini_client(url: str) -> Iterator[Any]:
    from google import genai

    client = genai.Client(api_key="k", http_options={"base_url": url, "retry_options": {"attempts": 5}})
    with contextlib.closing(client):
        yield client


@contextlib.contextmanager
def bedrock_client(url: str) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import boto3
        from botocore.config import Config

        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"max_attempts": 5, "mode": "standard"}),
        )
    with contextlib.closing(client):
        yield client


def openai_chat(client: Any) -> object:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


def openai_stream(client: Any) -> object:
    return list(client.responses.create(model="m", input="x", stream=True))


def anthropic_messages(client: Any) -> object:
    return client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])


def anthropic_stream(client: Any) -> object:
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream:
        return stream.get_final_text()


def gemini_generate(client: Any) -> object:
    return client.models.generate_content(model="gemini-2.5-flash", contents="x")


def gemini_stream(client: Any) -> object:
    return list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="x"))


def bedrock_converse(client: Any) -> object:
    return client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "x"}]}])


def bedrock_stream(client: Any) -> object:
    return client.invoke_model_with_response_stream(modelId="m", body=b"{}")


@pytest.mark.parametrize(
    ("family", "connect", "call", "name"),
    [
        ("openai", openai_client, openai_chat, "BadRequestError"),
        ("openai", openai_client, openai_stream, "BadRequestError"),
        ("anthropic", anthropic_client, anthropic_messages, "BadRequestError"),
        ("anthropic", anthropic_client, anthropic_stream, "BadRequestError"),
        ("gemini", gemini_client, gemini_generate, "ClientError"),
        ("gemini", gemini_client, gemini_stream, "ClientError"),
        ("bedrock", bedrock_client, bedrock_converse, "ValidationException"),
        ("bedrock", bedrock_client, bedrock_stream, "ValidationException"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_no_sdk_retries_a_refusal_and_each_shows_the_report(
    family: str, connect: Callable[..., Any], call: Callable[[Any], object], name: str
) -> None:
    """One request a call, the SDK's own error for a bad request with the report in its text, in less than 50 ms (the
    quickest: the first builds types, and the machine may be busy; the shortest back-off of these SDKs is 400 ms)."""
    took = []
    with refusing(family) as server, connect(server.url) as client:
        while len(took) < 5 or (min(took) >= 0.05 and len(took) < 50):
            began = time.perf_counter()
            with pytest.raises(Exception, match="diverged at step 4") as caught:
                call(client)
            took.append(time.perf_counter() - began)
            assert type(caught.value).__name__ == name
            assert len(server.requests) == len(took)
    assert min(took) < 0.05


def test_the_server_of_these_tests_would_see_a_retry() -> None:
    """The control: a 503 in the same place is asked three times."""
    with refusing("openai") as server, openai_client(server.url) as client:
        server.answer = server.answer.replace(b"400 Bad Request", b"503 Busy").replace(b"x-should-retry", b"x-else")
        with pytest.raises(Exception, match="diverged"):
            openai_chat(client)
        assert len(server.requests) == 3
