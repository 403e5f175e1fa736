"""`scan`: places of secrets in recordings and files, and no value anywhere."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING

import pytest

from playhead.core.tape import Target
from playhead.sessions.model import Chunk, Header, RecordedExchange, Recording, StdioChunk
from playhead.sessions.scan import files_under, findings, findings_in_file, json_path
from tests.core.secrets import innocent, shaped

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [item.secret.decode() for item in shaped()[:6]]


def recording(body: bytes = b"", answer: bytes = b"", *, head: bytes = b"", stdout: bytes = b"") -> Recording:
    head = head or b"POST /v1/x HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body)
    exchange = RecordedExchange(
        4, Target("https", "h", 443), "proxy", 1, reused=False, protocol="http/1.1", opened_ns=1, opened_order=1
    )
    exchange.head, exchange.read_body, exchange.asked_order = head, lambda: body, 2
    exchange.chunks = [Chunk(2, answer, 3, 0)] if answer else []
    header = Header(
        "0123456789abcdef", 0, ["agent", "--verbose"], "/", environment={"A": "b", "OPENAI_API_KEY": "<redacted:env>"}
    )
    return Recording(header, 0, [exchange], stdio=[StdioChunk(1, 1, stdout)] if stdout else [])


def test_a_clean_recording_has_no_findings() -> None:
    """Ids, tokens of ours, blobs."""
    body = json.dumps(
        {"messages": [text.decode("latin-1") for text in innocent()[:18]], "k": "<redacted:openai-key:1>"}
    )
    assert findings(recording(body.encode(), b"HTTP/1.1 200 OK\r\n\r\nfine", stdout=b"hello\n")) == []


def test_places_are_named_and_values_are_not() -> None:
    """Step and JSON path in bodies, header names, lines of output."""
    body = json.dumps({"model": "m", "messages": [{"content": "hi"}, {"content": f"use {KEYS[0]}"}]}).encode()
    packed = zlib.compress(json.dumps({"answer": [KEYS[1]]}).encode())
    answer = b"HTTP/1.1 200 OK\r\nx-note: %s\r\ncontent-encoding: deflate\r\n\r\n%s" % (KEYS[2].encode(), packed)
    found = findings(recording(body, answer, stdout=b"one\nkey " + KEYS[3].encode()))
    assert [(item.place, item.where, item.step) for item in found] == [
        ("step 4 request body", "$.messages[1].content", 4),
        ("step 4 answer", "x-note", 4),
        ("step 4 answer body", "$.answer[0]", 4),
        ("stdout", "line 2", None),
    ]
    shown = "".join(map(str, found)) + json.dumps([item.to_json() for item in found])
    assert not [key for key in KEYS if key[-12:] in shown]


@pytest.mark.parametrize(
    ("path", "value"),
    [("$.a", {"a": "HERE"}), ("$.a.b[1].c", {"z": [1, {"q": "a,b:[{"}], "a": {"b": [0, {"c": "HERE"}]}}), ("$[2]", [1, [2, 3], "HERE"])],
)  # fmt: skip
def test_paths_of_json(path: str, value: object) -> None:
    """Objects in lists in objects; brackets in strings count for nothing."""
    data = json.dumps(value).encode()
    assert json_path(data, data.index(b"HERE")) == path
    assert json_path(b"HERE", 0) == ""


def test_files_by_line_and_folders_by_file(tmp_path: Path) -> None:
    """What a pre-commit hook is given."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text(KEYS[0])
    (tmp_path / "a.env").write_text(f"# settings\nKEY={KEYS[0]}\n")
    (tmp_path / "b.txt").write_bytes(base64.b64encode(b"the key is " + KEYS[1].encode()))
    (tmp_path / "c.bin").write_bytes(bytes(range(256)) * 40)
    assert [path.name for path in files_under(tmp_path)] == ["a.env", "b.txt", "c.bin"]
    assert [item.where for item in findings_in_file(tmp_path / "a.env")] == ["line 2"]
    assert findings_in_file(tmp_path / "b.txt")[0].rule == shaped()[1].rule
    assert findings_in_file(tmp_path / "c.bin") == []
