"""The local authority: made once, kept private, refused when it cannot be trusted any more."""

from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from playhead.capture.wire import certificates
from playhead.capture.wire.authority import Authority, system_roots
from playhead.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


def handshake(server: ssl.SSLContext, root: Path, name: str, protocols: list[str] | None = None) -> ssl.SSLObject:
    """A TLS handshake in memory; the client's side."""
    client = ssl.create_default_context(cafile=str(root))
    if protocols:
        client.set_alpn_protocols(protocols)
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    near, far = client.wrap_bio(a, b, server_hostname=name), server.wrap_bio(b, a, server_side=True)
    for _ in range(3):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return near


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_private(tmp_path):
    """The directory is 0700, the keys 0600."""
    authority = Authority.open(tmp_path / "new" / "authority")
    authority.server_context("example.com")
    directory = authority.directory
    assert mode(directory) == 0o700
    assert mode(directory / "ca.key") == 0o600
    assert mode(directory / "leaf.key") == 0o600
    assert mode(directory / "leaves") == 0o700
    assert authority.certificate_path == directory / "ca.pem"
    assert b"PRIVATE" not in authority.certificate_path.read_bytes()
    assert sorted(path.name for path in directory.iterdir()) == ["ca.key", "ca.pem", "leaf.key", "leaves"]


@pytest.mark.parametrize(
    "name", ["api.example.com", "127.0.0.1", "::1", "a" * 60 + "." + "b" * 60 + ".example.com", "xn--bcher-kva.ch"]
)
def test_leaves_stand_for_names_and_addresses(tmp_path, name):
    """A strict client that trusts the authority takes the leaf for the host."""
    authority = Authority.open(tmp_path)
    near = handshake(authority.server_context(name), authority.certificate_path, name)
    assert near.version() == "TLSv1.3"


def test_http1_wins_unless_only_h2_is_offered(tmp_path):
    """ALPN agrees on HTTP/1.1 whenever the client takes it."""
    authority = Authority.open(tmp_path)
    context = authority.server_context("h")
    root = authority.certificate_path
    assert handshake(context, root, "h", ["h2", "http/1.1"]).selected_alpn_protocol() == "http/1.1"
    assert handshake(context, root, "h", ["h2"]).selected_alpn_protocol() == "h2"
    assert handshake(context, root, "h").selected_alpn_protocol() is None


def test_a_leaf_for_one_host_is_not_taken_for_another(tmp_path):
    """The client's own check of names still bites."""
    authority = Authority.open(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority.server_context("a.example"), authority.certificate_path, "b.example")


def test_a_warm_start_signs_nothing(tmp_path):
    """A second process serves a known host without importing the signing library."""
    Authority.open(tmp_path).server_context("api.example.com")
    code = (
        "import sys; from pathlib import Path; from playhead.capture.wire.authority import Authority\n"
        "Authority.open(Path(sys.argv[1])).server_context('api.example.com')\n"
        "print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_concurrent_first_runs_agree(tmp_path):
    """Eight processes that make the authority at once end up with one, and with a key that belongs to it."""
    directory = tmp_path / "authority"
    code = (
        "import sys; from pathlib import Path; sys.stdin.read(1)\n"
        "from playhead.capture.wire.authority import Authority\n"
        "a = Authority.open(Path(sys.argv[1])); a.server_context('h')\n"
        "print(a.certificate_path.read_text())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    for process in running:
        process.stdin.write("x")
        process.stdin.flush()
    outputs = {process.communicate()[0] for process in running}
    assert len(outputs) == 1
    assert all(process.returncode == 0 for process in running)
    assert handshake(Authority.open(directory).server_context("h"), directory / "ca.pem", "h").version()
    assert not [path for path in directory.iterdir() if path.name.startswith(".")]


def test_a_first_run_that_was_killed_halfway_is_completed(tmp_path):
    """A key without its certificate gets one."""
    key = certificates.new_key()
    (tmp_path / "ca.key").write_bytes(key)
    Authority.open(tmp_path)
    assert (tmp_path / "ca.key").read_bytes() == key


@pytest.mark.parametrize(("shift_days", "said"), [(-400, "expired"), (400, "not valid yet")])
def test_an_authority_out_of_its_time_is_refused(tmp_path, shift_days, said):
    """An expired or future authority stops the run and says when and what to do."""
    Authority.open(tmp_path)
    key = (tmp_path / "ca.key").read_bytes()
    now = datetime.now(UTC) + timedelta(days=shift_days)
    (tmp_path / "ca.pem").write_bytes(certificates.sign_authority(key, lifetime=timedelta(days=30), now=now))
    with pytest.raises(SetupError) as caught:
        Authority.open(tmp_path)
    assert caught.value.code == "ca-expired"
    assert said in str(caught.value)
    assert "playhead init" in caught.value.todo
    assert str(now.year) in caught.value.expected
    assert handshake(Authority.renew(tmp_path).server_context("h"), tmp_path / "ca.pem", "h").version()


@pytest.mark.parametrize("broken", ["ca.pem", "ca.key", "other key", "gone key"])
def test_a_damaged_authority_is_refused(tmp_path, broken):
    """Damage is named, never papered over with a new authority that nobody trusts."""
    Authority.open(tmp_path)
    if broken == "other key":
        (tmp_path / "ca.key").write_bytes(certificates.new_key())
    elif broken == "gone key":
        (tmp_path / "ca.key").unlink()
    else:
        (tmp_path / broken).write_bytes(b"garbage")
    with pytest.raises(SetupError) as caught:
        Authority.open(tmp_path)
    assert caught.value.code == "ca-unreadable"
    assert "playhead init" in caught.value.todo


def test_no_authority_is_made_unasked(tmp_path):
    """Without `create`, a missing authority is an error of its own."""
    with pytest.raises(SetupError) as caught:
        Authority.open(tmp_path / "none", create=False)
    assert caught.value.code == "ca-absent"
    assert not (tmp_path / "none").exists()


def test_renewal_changes_the_certificate_and_forgets_leaves(tmp_path):
    """After a renewal old leaves are not served."""
    before = Authority.open(tmp_path)
    before.server_context("h")
    old = before.certificate_path.read_bytes()
    after = Authority.renew(tmp_path)
    assert after.certificate_path.read_bytes() != old
    assert handshake(after.server_context("h"), after.certificate_path, "h").version()


def test_leaves_are_served_from_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    """A full or read-only store does not keep a host from being served."""
    authority = Authority.open(tmp_path)

    def refuse(*_arguments, **_named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("playhead.capture.wire.authority._write_beside", refuse)
    assert handshake(authority.server_context("h"), authority.certificate_path, "h").version()
    assert not (tmp_path / "leaf.key").exists()


def test_the_bundle_holds_system_user_and_own_roots_once(tmp_path):
    """System roots, the user's file and directory, and ours; each block once; rewriting changes nothing."""
    authority = Authority.open(tmp_path / "authority")
    other = certificates.sign_authority(certificates.new_key())
    users = tmp_path / "users.pem"
    users.write_bytes(b"# comment\n" + other + other)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "ours.pem").write_bytes(authority.certificate_path.read_bytes())
    (folder / "notes.txt").write_text("no certificate")
    path = authority.write_bundle(tmp_path / "bundle.pem", [users, folder, tmp_path / "absent.pem"])
    data = path.read_bytes()
    assert data.count(other.strip()) == 1
    assert data.count(authority.certificate_path.read_bytes().strip()) == 1
    for root in system_roots():
        assert data.count(b"BEGIN CERTIFICATE") > 2
        first = root.read_bytes().split(b"-----END CERTIFICATE-----")[0].split(b"-----BEGIN CERTIFICATE-----")[1]
        assert first in data
    ssl.create_default_context(cafile=str(path))
    stamp = path.stat().st_mtime_ns
    authority.write_bundle(path, [users, folder])
    assert path.stat().st_mtime_ns == stamp
