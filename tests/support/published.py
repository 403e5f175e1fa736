"""The published recordings as test data: every exchange of the cassettes that scripts/fetch_recordings.py brought.

The bytes are real providers' (files named `*_conformance.yaml` are hand-made by their authors). Cassettes keep bodies
after content decoding; the few that were kept gzipped are unpacked here. The langchain cassettes hide most URLs and
header values: where the body says beyond doubt which endpoint it was meant for, the URL is put back and `restored` is
set; all else stays `**REDACTED**` as published.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN = "**REDACTED**"
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Published:
    """One exchange of a cassette. `source` is `<package>-<version>`, `file` is relative to it, `index` counts from 0
    in the file. Bodies are content-decoded bytes; a header with several values appears several times."""

    source: str
    file: str
    index: int
    method: str
    url: str
    request_headers: list[tuple[str, str]]
    request_body: bytes
    status: int
    response_headers: list[tuple[str, str]]
    response_body: bytes
    restored: bool = False

    @property
    def host(self) -> str:
        """Host name of the URL, empty when hidden."""
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        """Path with query as in a request line."""
        parts = urlsplit(self.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def __str__(self) -> str:
        return f"{self.source}/{self.file}[{self.index}]"


def folder() -> Path:
    """Where the recordings lie: $PLAYHEAD_RECORDINGS, else `.cache/recordings` in the checkout. Fails when absent."""
    place = Path(os.environ.get("PLAYHEAD_RECORDINGS") or REPOSITORY / ".cache" / "recordings")
    if not place.is_dir() or not any(place.iterdir()):
        raise AssertionError(
            f"the published recordings are not in {place}\n"
            f"  next: python scripts/fetch_recordings.py {place}   (needs pip and its index once; tests are offline after that)"
        )
    return place


def exchanges() -> Iterator[Published]:
    """Every exchange, in a stable order. Parsed once a process: treat what you get as constant."""
    yield from _all(folder())


@functools.cache
def _all(place: Path) -> tuple[Published, ...]:
    files = sorted(path for path in place.rglob("*") if path.name.endswith((".yaml", ".yml", ".yaml.gz")))
    return tuple(exchange for path in files for exchange in _in_file(place, path))


def _in_file(place: Path, path: Path) -> Iterator[Published]:
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    cassette = yaml.load(raw, yaml.CSafeLoader)
    if "interactions" in cassette:
        pairs = [(each["request"], each["response"]) for each in cassette["interactions"]]
    else:
        pairs = list(zip(cassette["requests"], cassette["responses"], strict=True))
    source, _, file = path.relative_to(place).as_posix().partition("/")
    for index, (request, response) in enumerate(pairs):
        body = _bytes(request.get("body"))
        headers = _headers(request.get("headers"))
        url, restored = _url(source, request["method"], request["uri"], headers, body)
        answer = response["body"]["string"] if "body" in response else response["content"]
        yield Published(
            source=source,
            file=file,
            index=index,
            method=request["method"].upper(),
            url=url,
            request_headers=headers,
            request_body=body,
            status=response["status"]["code"] if "status" in response else response["status_code"],
            response_headers=_headers(response.get("headers")),
            response_body=_unpacked(_bytes(answer)),
            restored=restored,
        )


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else str(body).encode()


def _unpacked(body: bytes) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return body


def _headers(headers: dict[str, Any] | None) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in (headers or {}).items():
        pairs += [(name, str(each)) for each in (value if isinstance(value, list) else [value])]
    return pairs


def _url(source: str, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> tuple[str, bool]:
    """The URL, and whether it was put back by what only one endpoint of the package's provider takes."""
    if url != HIDDEN or method != "POST":
        return url, False
    try:
        keys = json.loads(body).keys()
    except ValueError:
        return url, False
    if source.startswith("langchain-anthropic-") and "messages" in keys:
        return "https://api.anthropic.com/v1/messages", True
    if any(name.lower() == "chatgpt-account-id" for name, _ in headers):
        return "https://chatgpt.com/backend-api/codex/responses", True
    if "encoding_format" in keys:
        return "https://api.openai.com/v1/embeddings", True
    return f"https://api.openai.com/v1/{'responses' if 'input' in keys else 'chat/completions'}", True
