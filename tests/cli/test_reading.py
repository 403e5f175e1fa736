"""list, inspect, verify and rm over real recordings, sound, damaged and hostile."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from playhead.core.events import Ending, EventKind
from playhead.journal.segment import SegmentWriter
from playhead.sessions.session import Session
from tests.sessions.tapes import ID, Tape, chat, damage, request, said
from tests.support.executable import PLAYHEAD, plain_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playhead.journal.store import Store

ATTACK = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066\x00\x08\r"
"""Clears the screen, sets the title, colours by C1, turns the direction, overwrites the line."""
COMMAND = ATTACK.replace("\0", "")  # a command line with a NUL is no command line: such a recording does not open
ORDERS = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\x1b(?!\[[0-9;]*m)")
"""What no output may hold, colours (ESC [ digits m) apart."""


@pytest.fixture
def hostile(store: Store) -> Store:
    """A recording whose every text attacks the terminal."""
    tape = Tape(store, name=f"n{ATTACK}", command=["python", COMMAND], tags={ATTACK: ATTACK}, cwd="/")
    tape.lane(1, f"a/{ATTACK}")
    call = {"id": "c1", "type": "function", "function": {"name": ATTACK, "arguments": json.dumps({ATTACK: ATTACK})}}
    tools = [{"type": "function", "function": {"name": ATTACK, "parameters": {}}}]
    body = chat(ATTACK, tools=tools, temperature=0.5, model=ATTACK, user=ATTACK)
    tape.exchange(body, said(ATTACK, tool_calls=[call], reasoning_content=ATTACK))
    error = json.dumps({"error": {"message": ATTACK, "type": ATTACK}}).encode()
    head = b"HTTP/1.1 429 \x1b[2J\r\nContent-Length: %d\r\n\r\n" % len(error)
    tape.exchange(chat("x"), head + error)
    tape.exchange(b"\x1b[2J", b"HTTP/1.1 200 OK\r\n\r\n\x1b[2J", ending=Ending.CLOSED, path="/\x1b[2J", host="h\x1b[2J")
    tape.exchange(chat("x"), ending=Ending.RESET, detail=ATTACK)
    finish = json.dumps(
        {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": ATTACK}], "model": ATTACK}
    )
    tape.exchange(chat("x"), b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(finish) + finish.encode())
    tape.engine.append(EventKind.NOT_CAPTURED, meta={"host": ATTACK, "reason": ATTACK, "bytes": 1})
    tape.engine.append(EventKind.INCOMPLETE, meta={"reason": ATTACK})
    tape.seal()
    return store


READING = [("list",), ("inspect", "last"), *((("inspect", f"last:{n}")) for n in range(1, 6)), ("verify", "last")]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_nothing_recorded_gives_orders_to_a_terminal(hostile: Store, arguments: tuple[str, ...]) -> None:
    """On a real terminal, colours and all; `--raw` there, too."""
    for line in (arguments, (*arguments, "--raw")) if len(arguments) == 2 and ":" in arguments[1] else (arguments,):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [PLAYHEAD, *line],
            env=plain_environment(hostile.root.parent, TERM="xterm", COLUMNS="120"),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            seen = b""
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:
                    break
                if not piece:
                    break
                seen += piece
        os.close(ours)
        assert process.returncode == 0
        text = seen.decode().replace("\r\n", "\n")
        assert ORDERS.search(text) is None, ORDERS.search(text)
        assert "2J" in text or "--raw" in line


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_json_is_one_harmless_document(hostile: Store, run: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    """On stdout alone, whatever was recorded; what it says is what was recorded."""
    ran = run(*arguments, "--json")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert ORDERS.search(ran.out) is None
    if arguments == ("inspect", "last"):
        assert document["name"] == f"n{ATTACK}"
        assert document["command"] == ["python", COMMAND]


def test_raw_is_exact_into_a_pipe(hostile: Store) -> None:
    """Byte for byte: request, a newline, answer."""
    env = plain_environment(hostile.root.parent)
    ran = subprocess.run([PLAYHEAD, "inspect", "last:3", "--raw"], env=env, capture_output=True, check=False)
    head = request(b"\x1b[2J", "/\x1b[2J")
    assert ran.stdout == head + b"\x1b[2J" + b"\n" + b"HTTP/1.1 200 OK\r\n\r\n\x1b[2J"
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_list_shows_sessions_newest_first_with_filters(store: Store, recorded: str, run: Callable[..., Any]) -> None:
    """A line each; `--json` with the contract's keys and no steps; nothing found is said on stderr."""
    Tape(store, "11" * 8, name="later", created_ns=1_800_000_000 * 10**9).seal()
    ran = run("list")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert len(lines) == 3
    assert "later" in lines[1]
    for word in ("7f3a2b9c", "refund", "gpt-5-mini", "python agent.py"):
        assert word in lines[2]
    assert [s["session"] for s in json.loads(run("list", "--json").out)] == ["11" * 8, recorded]
    assert [s["session"] for s in json.loads(run("list", "--json", "--tag", "team=billing").out)] == [recorded]
    assert [s["session"] for s in json.loads(run("list", "--json", "--limit", "1").out)] == ["11" * 8]
    assert [s["session"] for s in json.loads(run("list", "--json", "--since", "2026-12-01").out)] == ["11" * 8]
    assert all("steps" not in s for s in json.loads(run("list", "--json").out))
    nothing = run("list", "--status", "killed")
    assert (nothing.code, nothing.out) == (0, "")
    assert "playhead record" in nothing.err
    assert json.loads(run("list", "--status", "killed", "--json").out) == []


def test_inspect_shows_the_steps_and_each_in_full(recorded: str, run: Callable[..., Any]) -> None:
    """What was asked, answered and used; how to see its bytes."""
    table = run("inspect", "refund").out
    for word in (
        "7f3a2b9c  refund",
        "python agent.py",
        "Done.",
        "POST shop.example/refund 201",
        "3 steps",
        "2 model calls",
    ):
        assert word in table
    step = run("inspect", f"{recorded}:1").out
    for word in (
        "7f3a2b9c:1",
        "user",
        "refund order 8821",
        "temperature=0.5",
        "answer",
        "Done.",
        "stop: stop",
        "--raw",
    ):
        assert word in step
    plain = run("inspect", "last:2").out
    for word in ("POST https://shop.example/refund", '{"id": 8821}', "answer 201", "ok"):
        assert word in plain


def test_inspect_json_is_the_contract_s(recorded: str, run: Callable[..., Any]) -> None:
    """A session with its steps; a step with request and response; with --raw its bytes."""
    session = json.loads(run("inspect", "last", "--json").out)
    assert [s["step"] for s in session["steps"]] == [1, 2, 3]
    assert [s["status"] for s in session["steps"]] == ["ok", "ok", "error"]
    step = json.loads(run("inspect", "last:1", "--json").out)
    assert step["session"] == recorded
    assert {"request", "response", "step", "usage"} <= set(step)
    assert "raw" not in step
    assert "raw" in json.loads(run("inspect", "last:1", "--json", "--raw").out)


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_inspect_of_a_session_keeps_no_steps(
    recorded: str, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    """A thousand long ones would be gigabytes: they are told one by one."""
    monkeypatch.setattr(Session, "steps", property(lambda _: pytest.fail("all steps were asked for at once")))
    assert run("inspect", recorded, *option).code == 0


def test_inspect_raw_needs_a_step(recorded: str, run: Callable[..., Any]) -> None:
    """And says which it could be."""
    ran = run("inspect", "last", "--raw")
    assert ran.code == 2
    assert "playhead inspect 7f3a2b9c:1 --raw" in ran.err
    assert run("inspect", "last:9").code == 2


@pytest.mark.parametrize("command", ["inspect", "verify", "rm", "replay"])
def test_a_session_that_is_not_there_is_exit_3(recorded: str, run: Callable[..., Any], command: str) -> None:
    """With candidates."""
    ran = run(command, "refnud")
    assert (ran.code, ran.out) == (3, "")
    assert "refund" in ran.err


def test_verify_says_intact_and_what_it_looked_at(recorded: str, run: Callable[..., Any]) -> None:
    """Exit 0; the JSON has the same."""
    ran = run("verify", "last")
    assert ran.code == 0
    assert "intact" in ran.out
    said_so = json.loads(run("verify", "last", "--json").out)
    assert (said_so["intact"], said_so["sealed"], said_so["exchanges"], said_so["damage"]) == (True, True, 3, [])


def test_verify_names_damage_and_exits_3(store: Store, run: Callable[..., Any]) -> None:
    """In an open folder and in a sealed file, with and without --json; one JSON document all the same."""
    tape = Tape(store)
    for n in range(3):
        tape.exchange(chat("shared history " * 20 + str(n)), said("yes"))
    tape.exit()
    folder = tape.close()
    damage(folder, EventKind.REQUEST, 1)
    ran = run("verify", "last")
    assert ran.code == 3
    assert "checksum mismatch" in ran.err
    assert "segment engine at byte" in ran.err
    found = run("verify", "last", "--json")
    assert found.code == 3
    document = json.loads(found.out)
    assert document["intact"] is False
    assert any("the request of step 2" in d or "checksum" in d for d in document["damage"])
    path = store.seal(ID)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(bytes(data))
    assert run("verify", str(path)).code == 3
    assert run("inspect", str(path)).code in (0, 3)


def test_verify_calls_a_killed_recording_shorter_and_not_damaged(store: Store, run: Callable[..., Any]) -> None:
    """Exit 0, with the torn bytes counted."""
    tape = Tape(store)
    tape.exchange(chat("x"), said("yes"))
    tape.close()
    engine = tape.folder / "engine.seg"
    engine.write_bytes(engine.read_bytes()[:-25])
    ran = run("verify", "last")
    assert ran.code == 0
    assert "killed" in ran.out
    assert "torn bytes" in ran.out


def test_a_step_in_doubt_is_said_by_every_command_that_reads(store: Store, run: Callable[..., Any]) -> None:
    """`inspect`, `list` and `verify`, in words and in JSON."""
    tape = Tape(store)
    tape.exchange(chat("x"), said("yes"))
    tape.ask(b"{}", path="/pay", host="bank.example")
    tape.close()
    words = "in doubt: step 2: asked, and no end of an answer was recorded"
    shown = " ".join(run("inspect", "last").out.split())
    assert words in shown
    assert "in doubt: POST bank.example/pay" in shown
    assert "2, 1 in doubt" in run("list").out
    assert words in run("verify", "last").out
    assert json.loads(run("verify", "last", "--json").out)["in_doubt"] == [2]
    assert json.loads(run("list", "--json").out)[0]["in_doubt"] == [2]


def test_rm_leaves_no_byte_of_a_session_anywhere(store: Store, recorded: str, run: Callable[..., Any]) -> None:
    """A marker in name, tag, command, prompt and answer: in no file of the store afterwards, the catalogue's included."""
    marker = "planted-marker-4711"
    tape = Tape(store, "22" * 8, name=marker, tags={marker: marker}, command=[marker], created_ns=2_000_000_000 * 10**9)
    tape.exchange(chat(marker), said(marker))
    tape.output(1, marker.encode())
    tape.close()
    (store.sessions / f".{'22' * 8}.tape.99").write_text(marker)  # a sealing that was killed
    assert marker in run("list").out

    def found() -> list[Path]:
        return [p for p in store.root.rglob("*") if p.is_file() and marker.encode() in p.read_bytes()]

    assert len(found()) >= 3
    ran = run("rm", marker)
    assert (ran.code, ran.out) == (0, f"deleted {'22' * 8}\n")
    assert found() == []
    assert [p for p in store.root.rglob("*") if "2222" in p.name] == []
    assert [s["session"] for s in json.loads(run("list", "--json").out)] == [recorded]
    assert run("inspect", marker).code == 3


def test_rm_with_one_wrong_address_deletes_nothing(store: Store, recorded: str, run: Callable[..., Any]) -> None:
    """Nor does it delete files that are not of the store."""
    assert run("rm", recorded, "nope").code == 3
    path = store.path(recorded)
    outside = store.root.parent / "copy.tape"
    outside.write_bytes(path.read_bytes())
    ran = run("rm", outside)
    assert ran.code == 2
    assert outside.exists()
    assert path.exists()


def test_rm_leaves_what_is_being_written(store: Store, run: Callable[..., Any]) -> None:
    """Also when nothing of it can be read yet; once its writer has gone it goes."""
    tape = Tape(store)
    assert run("rm", ID).code == 2
    bare = store.begin("33" * 8)
    writer = SegmentWriter(bare / "launcher.seg", "launcher")
    ran = run("rm", "3333")
    assert ran.code == 2
    assert "being written" in ran.err
    tape.close()
    writer.close()
    assert run("inspect", "3333").code == 3
    assert run("rm", ID, "3333").code == 0
    assert list(store.ids()) == []


def test_init_makes_store_and_authority_once(run: Callable[..., Any], home: Path) -> None:
    """0700 and 0600; a second time changes nothing."""
    first = run("init")
    assert first.code == 0
    store = home / "store"
    key = {p: p.read_bytes() for p in (store / "ca").iterdir()}
    assert all(p.stat().st_mode & 0o077 == 0 for p in key if b"PRIVATE KEY" in key[p])
    assert (store.stat().st_mode & 0o777) == 0o700
    assert run("init").out == first.out
    assert {p: p.read_bytes() for p in key} == key
