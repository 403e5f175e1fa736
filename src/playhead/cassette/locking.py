"""Encryption of cassettes at rest, in the age format (https://age-encryption.org/v1), by the library pyrage.

A cassette is locked for recipients (`age1...`, `ssh-ed25519 ...`, `ssh-rsa ...`, or files of such lines) or by a
passphrase. It is unlocked with `PLAYHEAD_IDENTITY` (a file: age identities, or an OpenSSH private key), with
`PLAYHEAD_PASSPHRASE`, or with a passphrase typed at a terminal. pyrage is the extra `crypt`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead.errors import IncompatibleRecording, SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IDENTITY, PASSPHRASE = "PLAYHEAD_IDENTITY", "PLAYHEAD_PASSPHRASE"
BEGINS = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")
BY_PASSPHRASE = "passphrase"  # noqa: S105  the word that asks for one
_SCRYPT = b"\n-> scrypt "
_KEY_FILE_BYTES = 1 << 16


def is_locked(start: bytes) -> bool:
    """Whether a file that begins so is encrypted."""
    return start.startswith(BEGINS)


def lock(data: bytes, recipients: Sequence[str], environ: Mapping[str, str]) -> bytes:
    """`data`, readable by any of the recipients, or by a passphrase when the only one is the word `passphrase`.

    Raises UsageError for a recipient that is none, SetupError without pyrage or a passphrase.
    """
    pyrage = _library()
    if BY_PASSPHRASE in recipients:
        if len(recipients) > 1:
            raise UsageError(
                "A cassette is locked by a passphrase or for recipients, not both.",
                code="bad-recipient",
                where="--encrypt",
                expected="--encrypt passphrase alone (the age format has it so)",
                todo="leave one of them out",
            )
        return bytes(pyrage.passphrase.encrypt(data, _passphrase(environ, "the new cassette", again=True)))
    known = [recipient for text in recipients for recipient in _recipients(pyrage, text)]
    return bytes(pyrage.encrypt(data, known))


def unlock(data: bytes, where: str, environ: Mapping[str, str]) -> bytes:
    """What was locked. Raises SetupError without pyrage or a key, IncompatibleRecording for the wrong key."""
    pyrage = _library()
    by_passphrase = _SCRYPT in data[:1024] or (data.startswith(BEGINS[1]) and IDENTITY not in environ)
    try:
        if by_passphrase:
            return bytes(pyrage.passphrase.decrypt(data, _passphrase(environ, where)))
        if IDENTITY not in environ:
            raise SetupError(
                "This cassette is encrypted, and no key was given.",
                code="cassette-locked",
                where=where,
                expected=f"{IDENTITY}=FILE with an age identity or an OpenSSH private key",
                todo=f"{IDENTITY}=key.txt playhead ...",
            )
        return bytes(pyrage.decrypt(data, _identities(pyrage, environ[IDENTITY])))
    except pyrage.DecryptError as error:
        raise IncompatibleRecording(
            "This cassette does not open with this key.",
            code="cassette-key",
            where=where,
            expected="its passphrase" if by_passphrase else "the key of one of its recipients",
            seen=str(error)[:200],
            todo=f"set {PASSPHRASE if by_passphrase else IDENTITY} to the right one, or copy the file again",
        ) from None


def _library() -> Any:
    try:
        import pyrage
    except ImportError:
        raise SetupError(
            "Encrypted cassettes need the library pyrage.",
            code="crypt-missing",
            expected="the extra `crypt`",
            seen="pyrage is not installed",
            todo="pip install 'playhead[crypt]'",
        ) from None
    return pyrage


def _passphrase(environ: Mapping[str, str], where: str, *, again: bool = False) -> str:
    if environ.get(PASSPHRASE):
        return environ[PASSPHRASE]
    if sys.stdin is None or not sys.stdin.isatty():
        raise SetupError(
            "A passphrase is needed, and nobody is there to type it.",
            code="cassette-locked",
            where=where,
            expected=f"{PASSPHRASE} in the environment, or a terminal",
            todo=f"set {PASSPHRASE}",
        )
    import getpass

    typed = getpass.getpass(f"Passphrase of {where}: ")
    if again and getpass.getpass("Once more: ") != typed:
        raise UsageError("The two passphrases differ.", code="bad-recipient", where="--encrypt", todo="try again")
    return typed


def _recipients(pyrage: Any, text: str) -> list[Any]:
    """One recipient, or those of a file, one a line."""
    if text.startswith(("age1", "ssh-")):
        lines = [text]
    else:
        lines = [line for line in _key_file(text, "bad-recipient").splitlines() if line and not line.startswith("#")]
    found = []
    for line in lines:
        try:
            kind = pyrage.ssh if line.startswith("ssh-") else pyrage.x25519
            found.append(kind.Recipient.from_str(line.strip()))
        except pyrage.RecipientError as error:
            raise _bad_recipient(text, f"{line[:20]}: {error}") from None
    if not found:
        raise _bad_recipient(text, "a file without recipients")
    return found


def _bad_recipient(text: str, seen: str) -> UsageError:
    return UsageError(
        "This is no recipient.",
        code="bad-recipient",
        where=f"--encrypt {text[:40]}",
        expected="passphrase, age1..., ssh-ed25519 ..., ssh-rsa ..., or a file with such lines",
        seen=seen,
        todo="make a key with age-keygen or ssh-keygen, and give its public part",
    )


def _identities(pyrage: Any, path: str) -> list[Any]:
    text = _key_file(path, "key-unreadable")
    try:
        if "-----BEGIN" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return [pyrage.x25519.Identity.from_str(line) for line in lines]
    except pyrage.IdentityError as error:
        raise SetupError(
            "This file holds no key that opens cassettes.",
            code="key-unreadable",
            where=path,
            expected="age identities (AGE-SECRET-KEY-1...), or an OpenSSH private key without a passphrase",
            seen=str(error)[:200],
            todo=f"set {IDENTITY} to the right file",
        ) from None


def _key_file(path: str, code: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            return file.read(_KEY_FILE_BYTES).decode()
    except (OSError, ValueError, RuntimeError) as error:
        raise SetupError(
            "A key file cannot be read.",
            code="key-unreadable" if code != "bad-recipient" else "bad-recipient",
            where=path,
            seen=str(error)[:200],
            todo="name a file that holds the key as text",
        ) from None
