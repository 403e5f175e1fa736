"""`export`, `import` and `verify` of cassettes, as a person runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playhead.journal.store import Store
    from tests.cli.conftest import Ran


@pytest.fixture
def file(run: Callable[..., Ran], recorded: str, tmp_path: Path) -> Path:
    """The recorded session as a cassette in text."""
    place = tmp_path / "refund.rw"
    done = run("export", recorded, "-o", place)
    assert (done.code, done.out) == (0, f"{place}\n"), done.err
    return place


@pytest.mark.parametrize("form", ["rw", "rw-text"])
def test_a_cassette_inspects_as_its_session_does(
    run: Callable[..., Ran], recorded: str, tmp_path: Path, form: str
) -> None:
    """The step table and each step with its exact bytes; also once the session is gone."""
    place = tmp_path / "it.rw"
    run("export", recorded, "--format", form, "-o", place)
    before = [run("inspect", recorded, "--json").out]
    before += [run("inspect", f"{recorded}:{n}", "--json", "--raw").out for n in (1, 2, 3)]
    run("rm", recorded)
    after = [
        run("inspect", place, "--json").out,
        *(run("inspect", f"{place}:{n}", "--json", "--raw").out for n in (1, 2, 3)),
    ]
    assert after == before


def test_an_intact_cassette_verifies(run: Callable[..., Ran], recorded: str, file: Path) -> None:
    """In words and as JSON."""
    done = run("verify", file)
    assert (done.code, done.err) == (0, "")
    assert "intact" in done.out
    told = json.loads(run("verify", file, "--json").out)
    assert told["session"] == recorded
    assert (told["intact"], told["form"], told["edited"], told["signed_by"]) == (True, "text", [], None)


def test_an_edit_by_hand_is_named_and_refused(run: Callable[..., Ran], file: Path) -> None:
    """`verify` names line and step; what would trust it refuses; `import --edited` takes it and says so ever after."""
    lines = file.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if "Done." in line and '"answer":1' in line)
    lines[at] = lines[at].replace("Done.", "Gone.")
    file.write_text("".join(lines))
    done = run("verify", file)
    assert done.code == 3
    assert "error[cassette-edited]" in done.err
    assert f"line {at + 1} (step 1)" in done.err
    for command in (("replay", file), ("import", file), ("export", file, "-o", "-")):
        done = run(*command)
        assert (done.code, done.out) == (3, ""), command
        assert "cassette-edited" in done.err
    done = run("import", "--edited", file)
    assert done.code == 0, done.err
    told = json.loads(run("inspect", done.out.strip(), "--json").out)
    assert [step["origin"] for step in told["steps"]] == ["edited", "recorded", "recorded"]
    assert run("verify", done.out.strip()).code == 0
    resealed = file.with_name("resealed.rw")
    assert run("export", "--edited", file, "-o", resealed).code == 0
    done = run("verify", resealed)
    assert done.code == 0
    assert "edited by hand since it was recorded: steps 1" in done.out


def test_import_gives_the_session_back(run: Callable[..., Ran], recorded: str, file: Path) -> None:
    """Under its own id; again, it changes nothing; and the cassette of it is the same file."""
    whole = run("inspect", recorded, "--json").out
    done = run("import", file)
    assert (done.code, done.out) == (0, f"{recorded}\n")
    assert "there already" in done.err
    run("rm", recorded)
    done = run("import", file)
    assert (done.code, done.out, done.err) == (0, f"{recorded}\n", "")
    assert run("inspect", recorded, "--json").out == whole
    again = file.with_name("again.rw")
    run("export", recorded, "-o", again)
    assert again.read_bytes() == file.read_bytes()


def test_import_beside_another_recording_of_that_id(
    run: Callable[..., Ran], recorded: str, file: Path, store: Store
) -> None:
    """Takes a new id and says so; the other stays as it is."""
    run("rm", recorded)
    tape = Tape(store, recorded)
    tape.exchange(chat("something else"), said("Else."))
    tape.seal()
    before = run("inspect", recorded, "--json").out
    done = run("import", file)
    assert done.code == 0
    assert done.out.strip() != recorded
    assert "another recording has the id" in done.err
    assert run("inspect", recorded, "--json").out == before
    assert len(json.loads(run("inspect", done.out.strip(), "--json").out)["steps"]) == 3


def test_export_names_the_file_and_overwrites_none(
    run: Callable[..., Ran], recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's name; what is in it that may be private is said."""
    monkeypatch.chdir(tmp_path)
    done = run("export", recorded)
    assert (done.code, done.out) == (0, "refund.rw\n")
    assert "/home/me" in done.err
    before = (tmp_path / "refund.rw").read_bytes()
    done = run("export", recorded)
    assert done.code == 2
    assert "output-exists" in done.err
    assert (tmp_path / "refund.rw").read_bytes() == before
    assert (tmp_path / "refund.rw").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_exported(run: Callable[..., Ran], store: Store, tmp_path: Path) -> None:
    """A session that is being written, a file that cannot be written."""
    tape = Tape(store)
    tape.exchange(chat("hello"), said("Hello."))
    done = run("export", tape.id, "-o", tmp_path / "it.rw")
    assert done.code == 2
    assert "session-open" in done.err
    tape.seal()
    done = run("export", tape.id, "-o", tmp_path / "no" / "it.rw")
    assert done.code == 2
    assert "output-unwritable" in done.err


def test_import_takes_cassettes_only(run: Callable[..., Ran], recorded: str, store: Store, tmp_path: Path) -> None:
    """A session file needs no import, and an absent file is absent."""
    done = run("import", store.path(recorded))
    assert done.code == 3
    assert "not-a-cassette" in done.err
    assert run("import", tmp_path / "absent.rw").code == 3


def test_a_session_with_a_secret_is_not_exported(run: Callable[..., Ran], store: Store, tmp_path: Path) -> None:
    """Its place is named, never its value; nothing is written."""
    secret = "sk-proj-" + "Ab3dEf6hIj9kLmN0pQr5tUv8xYz1" * 2
    tape = Tape(store, command=["agent", f"--key={secret}"])
    tape.exchange(chat("hello"), said("Hello."))
    tape.seal()
    done = run("export", tape.id, "-o", tmp_path / "it.rw")
    assert done.code == 1
    assert "command, line" in done.err
    assert secret not in done.err
    assert not (tmp_path / "it.rw").exists()


def test_an_edit_that_makes_no_sense_names_its_line(run: Callable[..., Ran], file: Path) -> None:
    """Text of the output made longer than the reads of it: the error says which line was changed, not only that it is odd."""
    lines = file.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith('{"stream"'))
    lines[at] = lines[at].replace('"text":"', '"text":"longer ')
    file.write_text("".join(lines))
    done = run("verify", file)
    assert (done.code, "error[cassette-damaged]" in done.err) == (3, True)
    assert f"line {at + 1}" in done.err
    assert "another length than its pieces together; changed since it was sealed: line" in done.err
