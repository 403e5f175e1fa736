"""`scan`: places of secrets in recordings and files, and no value anywhere."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING

import pytest

from playhead.core.redact_scan import Scanner
from playhead.core.tape import Target
from playhead.journal.bodies import Encoder, split
from playhead.journal.bodies.form import read_ops
from playhead.sessions.header import Header
from playhead.sessions.model import Chunk, RecordedExchange, Recording, StdioChunk
from playhead.sessions.scan import files_under, findings, findings_in_file, json_path
from tests.core.secrets import innocent, shaped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from playhead.core.redact_scan import Span

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


def conversation(bodies: list[bytes], *, forms: bool) -> Recording:
    """A recording of these requests, which says how each was made of those before it, or does not."""
    made = recording(bodies[0])
    encoder, made.exchanges = Encoder(), []
    for number, body in enumerate(bodies, 1):
        (exchange,) = recording(body).exchanges
        form = read_ops(number, split(encoder.encode(number, body))[0])
        exchange.number, exchange.read_form = number, (lambda form=form: form) if forms else None
        made.exchanges.append(exchange)
    return made


@pytest.mark.parametrize("secret", KEYS)
def test_a_secret_is_found_although_all_around_it_was_read_before(secret: str) -> None:
    """Wherever an earlier request had a part of it, from which end it grows, and again in all that repeat it."""
    around = "some words that were said before, " * 30
    for at in range(0, len(secret) + 1, 3):
        for early in (around + secret[:at], secret[at:] + around, around, around + secret[:at] + around):
            late = {"c": around + secret + around} if early == around else {"c": around + secret}
            bodies = [
                json.dumps({"m": [{"c": early}, {"c": around}, *more]}).encode() for more in ([], [late], [late, {}])
            ]
            found = findings(conversation(bodies, forms=True))
            assert found == findings(conversation(bodies, forms=False))
            assert {item.step for item in found} >= {2, 3}


def test_what_was_read_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all of a request is passed over; a form that says what is not so is not believed."""
    bodies = [json.dumps({"m": [f"message {n} " * 200 for n in range(steps)]}).encode() for steps in range(1, 9)]
    asked: list[int] = []
    real = Scanner.spans

    def spans(self: Scanner, data: bytes, start: int = 0, known: Sequence[tuple[int, int]] = ()) -> list[Span]:
        asked.append(len(data) - sum(last - first for first, last in known))
        return real(self, data, start, known)

    monkeypatch.setattr(Scanner, "spans", spans)
    made = conversation(bodies, forms=True)
    assert findings(made) == []
    assert sum(asked) < 2 * len(bodies[-1])
    made.exchanges[6].read_body = lambda: bodies[6][:-1500] + KEYS[0].encode() + bodies[6][-1500:]
    assert [item.step for item in findings(made)] == [7]
