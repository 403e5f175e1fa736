"""`playhead scan`: exit codes and what it prints."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.core.secrets import shaped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

KEY = shaped()[0].secret.decode()


def test_a_finding_exits_1_and_prints_no_value(run: Callable[..., Ran], tmp_path: Path) -> None:
    """Source, line and rule; 0 when there is nothing."""
    (tmp_path / "a.env").write_text(f"KEY={KEY}\n")
    (tmp_path / "b.env").write_text("KEY=none\n")
    bad = run("scan", "--json", tmp_path)
    assert bad.code == 1
    document = json.loads(bad.out)
    assert document["scanned"] == 2
    assert [(item["source"], item["where"], item["rule"]) for item in document["findings"]] == [
        (str(tmp_path / "a.env"), "line 1", "anthropic-key")
    ]
    assert KEY[-12:] not in bad.out + bad.err
    assert "anthropic-key" in run("scan", tmp_path / "a.env").out
    assert run("scan", tmp_path / "b.env").code == 0


def test_sessions_of_the_store_are_read(run: Callable[..., Ran], recorded: str, tmp_path: Path) -> None:
    """All of them, one by its id, and its cassette; an unknown one is said so."""
    assert "1 places" in run("scan").err
    assert run("scan", recorded).code == 0
    run("export", recorded, "-o", tmp_path / "a.rw")
    assert json.loads(run("scan", "--json", tmp_path / "a.rw").out) == {"scanned": 1, "findings": []}
    assert run("scan", "no-such-session").code == 3


def test_what_only_looks_like_a_recording_or_a_file(run: Callable[..., Ran], recorded: str, tmp_path: Path) -> None:
    """A script of another program that is called `.tape` and an age file are files; a broken recording is no clean one; a
    pipe in a folder is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "demo.tape").write_text(f'Output demo.gif\nType "export KEY={KEY}"\n')
    (tmp_path / "secrets.age").write_bytes(b"age-encryption.org/v1\n-> X25519 abc\n" + bytes(range(256)))
    document = json.loads(run("scan", "--json", tmp_path).out)
    assert document["scanned"] == 2
    assert [item["where"] for item in document["findings"]] == ["line 2"]
    broken = tmp_path / "broken.tape"
    broken.write_bytes(b"P\0AYHEAD" + bytes(100))
    assert run("scan", broken).code == 3
