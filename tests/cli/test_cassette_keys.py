"""Cassettes that are signed, and cassettes that are encrypted."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from playhead.cassette.signing import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran


def key_files(folder: Path, *, openssh: bool = True) -> tuple[Path, Path]:
    """A new Ed25519 key: its private and its public file."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / "key", folder / "key.pub"
    kind = form.PrivateFormat.OpenSSH if openssh else form.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(form.Encoding.PEM, kind, form.NoEncryption()))
    if openssh:
        public.write_bytes(
            key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH) + b" me@here\n"
        )
    else:
        public.write_bytes(key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.mark.parametrize("openssh", [True, False])
@pytest.mark.parametrize("kind", ["rw", "rw-text"])
def test_a_signed_cassette_says_who_sealed_it(
    run: Callable[..., Ran], recorded: str, tmp_path: Path, openssh: bool, kind: str
) -> None:
    """By its own key, and by the one that is asked for; by nobody else's."""
    private, public = key_files(tmp_path, openssh=openssh)
    other = tmp_path / "other"
    other.mkdir()
    _, others = key_files(other)
    file = tmp_path / "it.rw"
    assert run("export", recorded, "--format", kind, "--sign", private, "-o", file).code == 0
    for asked in ((), ("--key", public)):
        done = run("verify", file, *asked)
        assert done.code == 0, done.err
        assert "signed by SHA256:" in done.out
    done = run("verify", file, "--key", others)
    assert done.code == 3
    assert "cassette-signature" in done.err
    told = json.loads(run("verify", file, "--json", "--key", public).out)
    assert (told["intact"], told["signature"]) == (True, "true")


def test_resealing_by_hand_does_not_pass_for_the_signature(
    run: Callable[..., Ran], recorded: str, tmp_path: Path
) -> None:
    """Somebody edits, seals again with the old signature, or without one."""
    private, public = key_files(tmp_path)
    file = tmp_path / "it.rw"
    run("export", recorded, "--sign", private, "-o", file)
    signature = json.loads(file.read_text().splitlines()[-1])["signature"]
    file.write_text(file.read_text().replace("Done.", "Gone."))
    run("export", "--edited", file, "-o", file)
    done = run("verify", file, "--key", public)
    assert (done.code, "not-signed" in done.err) == (2, True)
    lines = file.read_text().splitlines()
    last = {**json.loads(lines[-1]), "signature": signature}
    file.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    for asked in ((), ("--key", public)):
        done = run("verify", file, *asked)
        assert (done.code, "cassette-signature" in done.err) == (3, True)


def test_keys_that_cannot_sign(run: Callable[..., Ran], recorded: str, tmp_path: Path) -> None:
    """Another kind, a passphrase, no key, no file: said, and nothing written."""
    rsa = generate_private_key(65537, 2048)
    locked = Ed25519PrivateKey.generate()
    files = {
        "rsa": rsa.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()),
        "locked": locked.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"x")),
        "none": b"nothing",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for name in (*files, "absent"):
        done = run("export", recorded, "--sign", tmp_path / name, "-o", tmp_path / "it.rw")
        assert (done.code, "key-unreadable" in done.err) == (2, True), name
    assert not (tmp_path / "it.rw").exists()


def test_a_fingerprint_is_ssh_keygens() -> None:
    """RFC 8032's first test key, as `ssh-keygen -lf` shows it."""
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert fingerprint(key) == "SHA256:bbXpuKG6zhzdmnxq256TlqzFBzRl2f6OOg722cYNbU8"


def test_an_encrypted_cassette_opens_with_its_key_only(
    run: Callable[..., Ran], recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an age recipient, given or in a file; nothing of it is readable without."""
    identity = pyrage.x25519.Identity.generate()
    keys = tmp_path / "keys.txt"
    keys.write_text(f"# a key\n{identity}\n")
    recipients = tmp_path / "readers.txt"
    recipients.write_text(f"# who may read\n{identity.to_public()}\n")
    file = tmp_path / "it.rw"
    plain = run("inspect", recorded, "--json").out
    for whom in (str(identity.to_public()), recipients):
        assert run("export", recorded, "--encrypt", whom, "-o", file).code == 0
        assert b"refund" not in file.read_bytes()
        monkeypatch.delenv("PLAYHEAD_IDENTITY", raising=False)
        done = run("inspect", file)
        assert (done.code, "cassette-locked" in done.err) == (2, True)
        monkeypatch.setenv("PLAYHEAD_IDENTITY", str(keys))
        assert run("inspect", file, "--json").out == plain
        assert run("verify", file).code == 0
    other = tmp_path / "other.txt"
    other.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    monkeypatch.setenv("PLAYHEAD_IDENTITY", str(other))
    done = run("inspect", file)
    assert (done.code, "cassette-key" in done.err) == (3, True)
    other.write_text("no key")
    done = run("inspect", file)
    assert (done.code, "key-unreadable" in done.err) == (2, True)


def test_an_openssh_key_opens_what_was_encrypted_for_it(
    run: Callable[..., Ran], recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that people have already."""
    private, public = key_files(tmp_path)
    file = tmp_path / "it.rw"
    assert run("export", recorded, "--format", "rw", "--encrypt", public, "-o", file).code == 0
    monkeypatch.setenv("PLAYHEAD_IDENTITY", str(private))
    assert run("verify", file).code == 0


def test_a_passphrase(run: Callable[..., Ran], recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment; the wrong one is told from damage by nobody, so it is one error; none is another."""
    file = tmp_path / "it.rw"
    done = run("export", recorded, "--encrypt", "passphrase", "-o", file)
    assert (done.code, "cassette-locked" in done.err) == (2, True)
    monkeypatch.setenv("PLAYHEAD_PASSPHRASE", "correct horse")
    assert run("export", recorded, "--encrypt", "passphrase", "-o", file).code == 0
    assert run("verify", file).code == 0
    monkeypatch.setenv("PLAYHEAD_PASSPHRASE", "wrong horse")
    done = run("verify", file)
    assert (done.code, "cassette-key" in done.err) == (3, True)
    done = run("export", recorded, "--encrypt", "passphrase", "--encrypt", "age1x", "-o", file)
    assert (done.code, "bad-recipient" in done.err) == (2, True)
    done = run("export", recorded, "--encrypt", "age1x", "-o", file)
    assert (done.code, "bad-recipient" in done.err) == (2, True)


def test_without_pyrage_the_extra_is_named(
    run: Callable[..., Ran], recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else works without it."""
    monkeypatch.setitem(sys.modules, "pyrage", None)
    done = run("export", recorded, "--encrypt", "passphrase", "-o", tmp_path / "it.rw")
    assert (done.code, "crypt-missing" in done.err, "playhead[crypt]" in done.err) == (2, True, True)
    assert run("export", recorded, "-o", tmp_path / "it.rw").code == 0


def test_plain_cassettes_load_no_cryptography(run: Callable[..., Ran], recorded: str, tmp_path: Path) -> None:
    """Start-up is a budget."""
    file = tmp_path / "it.rw"
    run("export", recorded, "-o", file)
    program = f"""
import sys
from pathlib import Path
from playhead.cassette.opening import open_recording
open_recording(Path({str(file)!r}))
print({{"cryptography", "pyrage", "zstandard"}} & set(sys.modules))
"""
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
    )
