"""What a run was given: found where people put it, and not in what the run itself wrote."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from playhead.player.given import READ_AT_MOST, VISITED, Given

if TYPE_CHECKING:
    from pathlib import Path

BEGAN_NS = 1_700_000_000 * 10**9


def given(folder: Path, *argv: str, **environment: str) -> str:
    return "\n".join(Given(("python", *argv), str(folder), environment, BEGAN_NS)())


def write(path: Path, text: str, *, age_s: float = 60) -> None:
    """A file written so long before the run began."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    moment_ns = BEGAN_NS - int(age_s * 1e9)
    os.utime(path, ns=(moment_ns, moment_ns))


def test_files_of_the_working_directory_and_below_are_given(tmp_path: Path) -> None:
    """`python -m package` names no file, and a prompt may stand in any module of it."""
    write(tmp_path / "package" / "prompts" / "refund.py", "in a module")
    write(tmp_path / "data.json", "in data")
    text = given(tmp_path, "-m", "package")
    assert "in a module" in text
    assert "in data" in text


def test_files_named_by_an_argument_and_beside_them_are_given(tmp_path: Path) -> None:
    """Wherever they are, and of any kind when they are named."""
    write(tmp_path / "there" / "agent.py", "beside")
    write(tmp_path / "there" / "order.dat", "named")
    text = given(tmp_path / "here", str(tmp_path / "there" / "order.dat"))
    assert "named" in text
    assert "beside" in text


def test_environment_is_given_but_for_what_was_redacted(tmp_path: Path) -> None:
    """A tenant's id in a variable is meant."""
    text = given(tmp_path, TENANT="tenant-7", OPENAI_API_KEY="<redacted:env>")
    assert "tenant-7" in text
    assert "redacted" not in text


def test_what_the_run_wrote_is_not_given(tmp_path: Path) -> None:
    """A transcript holds all that the run drew; a source file counts at any age, for it is touched by checkouts."""
    write(tmp_path / "transcript.json", "drawn", age_s=-1)
    write(tmp_path / "agent.py", "meant", age_s=-1)
    text = given(tmp_path)
    assert "drawn" not in text
    assert "meant" in text


@pytest.mark.parametrize("name", ["node_modules/x.js", ".git/config.toml", "a/b/c/d/e/deep.py", "model.bin"])
def test_what_nobody_wrote_for_this_run_is_not_read(tmp_path: Path, name: str) -> None:
    """Packages, hidden folders, great depth, and kinds that hold no text."""
    write(tmp_path / name, "unread")
    assert "unread" not in given(tmp_path)


def test_odd_arguments_and_folders_harm_nothing(tmp_path: Path) -> None:
    """A program as an argument, a NUL, a missing folder, a pipe, a large file, a very full folder."""
    os.mkfifo(tmp_path / "pipe.py")
    write(tmp_path / "large.py", "large" * (READ_AT_MOST // 4))
    for number in range(VISITED // 50):
        write(tmp_path / "many" / f"{number}.bin", "x")
    assert given(tmp_path, "x" * 100_000, "a\0b", "pipe.py", "large.py") == ""
    assert given(tmp_path / "gone") == ""
