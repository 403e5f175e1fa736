"""The judge over real recordings: what is equal, what each kind of miss is called, and what the report says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from playhead.core.message import parse_answer
from playhead.core.redact import Redactor, Scope
from playhead.core.tape import Connection, Exchange, Route, Target
from playhead.journal.store import Store
from playhead.matching.divergence import DivergenceClass
from playhead.matching.masks import RunFacts
from playhead.player.judge import RecordingJudge, recorded_facts
from playhead.player.script import write_script
from playhead.sessions.reader import read_recording
from tests.sessions.tapes import CREATED_NS, Tape, chat, request, said

if TYPE_CHECKING:
    from pathlib import Path

DAY_NS = 86_400 * 10**9
SECRET = "sk-proj-" + "a1B2c3D4e5F6g7H8" * 3
OTHER_SECRET = "sk-proj-" + "Z9y8X7w6V5u4T3s2" * 3


class Bench:
    """A recording of these bodies, its judge, and its script, a day later."""

    def __init__(self, root: Path, *bodies: bytes) -> None:
        tape = Tape(Store.open(root))
        for number, body in enumerate(bodies, 1):
            tape.exchange(body, said(f"answer {number}"))
        tape.exit()
        self.recording = read_recording(tape.close())
        self.judge = RecordingJudge(self.recording, Redactor(), RunFacts(CREATED_NS + DAY_NS))
        self.script = write_script(self.recording, self.judge.recorded(self.recording))

    def canonical(self, body: bytes, head: bytes = b"") -> Any:
        return self.judge.canonical(live(), head or request(body), body)

    def miss(self, body: bytes, used: int = 0) -> Any:
        parts = self.script.parts
        return self.judge.divergence(self.canonical(body), "main", parts[used:], parts[:used])


def live(host: str = "api.openai.com") -> Exchange:
    return Exchange(1, Connection(1, ("127.0.0.1", 40_001), Route.PROXY), Target("https", host, 443), 0, reused=False)


def test_the_same_request_has_the_same_key_and_any_other_word_another(tmp_path: Path) -> None:
    """Key order and header order do not count; one character of a prompt does."""
    bench = Bench(tmp_path, chat("hello", temperature=0.5))
    (part,) = bench.script.parts
    assert bench.canonical(chat("hello", temperature=0.5)).fingerprint == part.canonical.fingerprint
    turned = json.dumps(dict(reversed(json.loads(chat("hello", temperature=0.5)).items()))).encode()
    assert bench.canonical(turned).fingerprint == part.canonical.fingerprint
    for other in (chat("hallo", temperature=0.5), chat("hello", temperature=0.6), chat("hello")):
        assert bench.canonical(other).fingerprint != part.canonical.fingerprint


def test_a_run_with_another_key_is_the_same_run(tmp_path: Path) -> None:
    """The live request is redacted as the recorded one was; the secret is in neither key nor report."""
    bench = Bench(tmp_path, chat(f"use {SECRET} and {SECRET}"))
    (part,) = bench.script.parts
    assert bench.canonical(chat(f"use {OTHER_SECRET} and {OTHER_SECRET}")).fingerprint == part.canonical.fingerprint
    two = bench.canonical(chat(f"use {OTHER_SECRET} and {SECRET}"))
    assert two.fingerprint != part.canonical.fingerprint
    divergence, _ = bench.miss(chat(f"use {OTHER_SECRET} and {SECRET}"))
    assert SECRET not in bench.judge.report(divergence)
    assert OTHER_SECRET not in repr(divergence)


def test_a_body_that_was_recorded_to_the_letter_is_not_searched_for_secrets_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head is, whose credential is another one every day. Any other body is, before it is compared."""
    body = chat("hello")
    bench = Bench(tmp_path, body)
    (part,) = bench.script.parts
    searched: list[bytes] = []
    judge = Scope.request

    def noting(scope: Scope, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        searched.append(body)
        return judge(scope, head, body)

    monkeypatch.setattr(Scope, "request", noting)
    head = request(body).replace(b"\r\n\r\n", b"\r\nauthorization: Bearer %s\r\n\r\n" % OTHER_SECRET.encode())
    assert bench.canonical(body, head).fingerprint == part.canonical.fingerprint
    assert searched == []
    assert bench.canonical(chat("hallo")).fingerprint != part.canonical.fingerprint
    assert searched == [chat("hallo")]


def test_today_s_date_stands_for_the_recording_s(tmp_path: Path) -> None:
    """Named in the masks used; a date that is neither run's own counts."""
    bench = Bench(tmp_path, chat("Today is 2026-11-21."))
    (part,) = bench.script.parts
    today = bench.canonical(chat("Today is 2026-11-22."))
    assert today.fingerprint == part.canonical.fingerprint
    assert today.masks_used == {"date@1": 1}
    assert bench.canonical(chat("Today is 2026-01-22.")).fingerprint != part.canonical.fingerprint
    to_the_letter = bench.canonical(chat("Today is 2026-11-21."))
    assert (to_the_letter.fingerprint, to_the_letter.masks_used) == (part.canonical.fingerprint, {})


def test_a_changed_request_names_its_step_and_the_place(tmp_path: Path) -> None:
    """The first difference, both sides, the closest recorded request, and the part that it replaces."""
    bench = Bench(tmp_path, chat("refund order 8821 for the customer"), chat("something else entirely, of other words"))
    divergence, replaced = bench.miss(chat("refund order 8822 for the customer"))
    assert replaced is bench.script.parts[0]
    assert (divergence.kind, divergence.step, divergence.path) == (DivergenceClass.CHANGED, 1, "$.messages[0].content")
    assert "8821" in divergence.expected
    assert "8822" in divergence.observed
    assert divergence.nearest == "7f3a2b9c:1"
    report = bench.judge.report(divergence)
    assert len(report.splitlines()) <= 25
    for word in ("step 1", "$.messages[0].content", "8821", "8822", "changed", "playhead inspect 7f3a2b9c:1"):
        assert word in report


def test_one_more_than_recorded_is_exhausted(tmp_path: Path) -> None:
    """With the count, and without a part."""
    bench = Bench(tmp_path, chat("a"), chat("a"))
    divergence, replaced = bench.miss(chat("a"), used=2)
    assert (divergence.kind, divergence.step, replaced) == (DivergenceClass.EXHAUSTED, None, None)
    assert (divergence.expected, divergence.observed) == ("2 such requests", "3")


def test_a_request_that_is_nobody_s_changed_version_is_extra(tmp_path: Path) -> None:
    """Also on an empty tape."""
    bench = Bench(tmp_path, chat("refund order 8821"))
    divergence, replaced = bench.miss(b"\x00\x01\x02 bytes of another kind", used=1)
    assert (divergence.kind, replaced) == (DivergenceClass.EXTRA, None)
    empty = Bench(tmp_path / "empty")
    divergence, replaced = empty.miss(chat("anything"))
    assert (divergence.kind, replaced, divergence.nearest) == (DivergenceClass.EXTRA, None, None)
    assert "playhead inspect 7f3a2b9c" in empty.judge.report(divergence)


def test_absent_requests_are_missing_or_reordered(tmp_path: Path) -> None:
    """By whether they came after all."""
    bench = Bench(tmp_path, chat("a"))
    (part,) = bench.script.parts
    assert bench.judge.absent(part, swapped=False).kind is DivergenceClass.MISSING
    assert bench.judge.absent(part, swapped=True).kind is DivergenceClass.REORDERED
    assert bench.judge.absent(part, swapped=False).step == 1


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/v1/chat/completions", chat("x"), ("error", "message")),
        ("/v1/messages", b'{"model": "claude", "max_tokens": 1, "messages": []}', ("error", "message")),
        ("/api/chat", b'{"model": "llama", "messages": []}', ("error",)),
        ("/shop", b"{}", ("error", "message")),
    ],
)
def test_a_refusal_speaks_the_shape_of_its_path(tmp_path: Path, path: str, body: bytes, place: tuple[str, ...]) -> None:
    """And carries the report."""
    bench = Bench(tmp_path, chat("a"))
    divergence, _ = bench.miss(chat("b"))
    answer = parse_answer(bench.judge.refusal(live("localhost"), request(body, path), body, divergence))
    said_there = json.loads(answer.body)
    for key in place:
        said_there = said_there[key]
    assert said_there.startswith("playhead replay: diverged at step 1")


def test_a_refusal_of_a_head_request_has_no_body(tmp_path: Path) -> None:
    """Bytes behind such a head would be taken for the next answer."""
    bench = Bench(tmp_path, chat("a"))
    divergence, _ = bench.miss(chat("b"))
    answer = bench.judge.refusal(live(), request(b"", "/x", "HEAD"), b"", divergence)
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


def test_requests_that_nobody_knows_are_not_on_the_tape(tmp_path: Path) -> None:
    """What the kill of the recorder cut off; what the client cut off is, for it can cut it off again."""
    tape = Tape(Store.open(tmp_path))
    turn, _ = tape.ask(chat("half"), whole=False)
    turn.abandon()
    tape.exchange(chat("whole"), said("yes"))
    tape.ask(chat("cut by the kill"), whole=False)
    recording = read_recording(tape.close())
    judge = RecordingJudge(recording, Redactor(), RunFacts(CREATED_NS))
    script = write_script(recording, judge.recorded(recording))
    assert [p.step for p in script.parts] == [1, 2]
    assert [p.step for p in script.cut] == [1]
    half = script.cut[0]
    assert judge.begins(half, live(), request(chat("half")), chat("half")[:20])
    assert not judge.begins(half, live(), request(chat("half")), b"other bytes")
    assert not judge.begins(half, live(), request(chat("longer")), chat("half")[:20])


def test_the_facts_of_a_recorded_run_are_its_headers(tmp_path: Path) -> None:
    """Clock, temporary folder, zone, arguments; what it was given is read when it is asked for."""
    tape = Tape(Store.open(tmp_path / "store"), tmpdir="/tmp/x", zone_s=3600)
    facts = recorded_facts(read_recording(tape.close()).header)
    assert (facts.wall_ns, facts.tmpdir, facts.zone_offset_s, facts.argv) == (
        CREATED_NS,
        "/tmp/x",
        3600,
        ("python", "agent.py"),
    )
