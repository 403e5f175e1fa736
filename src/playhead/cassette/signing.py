"""Ed25519 keys (RFC 8032) that sign cassettes: OpenSSH or PEM files, as `ssh-keygen` and `openssl` make them."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from playhead.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY_FILE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; a Signer of seal.py."""

    key: Ed25519PrivateKey

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Raises SetupError for a file that holds no usable Ed25519 private key."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

        data = _read(path)
        load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
        try:
            key = load(data, None)
        except TypeError:
            raise _unusable(path, "a private key without a passphrase", "it has a passphrase") from None
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _unusable(path, "an Ed25519 private key, OpenSSH or PEM", str(error)[:100]) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise _unusable(path, "an Ed25519 private key", "a key of another kind")
        return cls(key)

    def sign(self, message: bytes) -> dict[str, str]:
        return {
            "key": b64encode(self.key.public_key().public_bytes_raw()).decode(),
            "value": b64encode(self.key.sign(message)).decode(),
        }


def read_public_key(path: Path) -> bytes:
    """The 32 bytes of an Ed25519 public key. Raises SetupError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

    data = _read(path).strip()
    try:
        key = load_ssh_public_key(data) if data.startswith(b"ssh-") else load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable(path, "an Ed25519 public key, OpenSSH or PEM", str(error)[:100]) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(path, "an Ed25519 public key", "a key of another kind")
    return key.public_bytes_raw()


def signed_by(signature: dict[str, str], message: bytes) -> bytes | None:
    """The public key whose signature this is; None when it is not one of this message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = b64decode(signature["key"], validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(b64decode(signature["value"], validate=True), message)
    except (ValueError, binascii.Error, InvalidSignature):
        return None
    return key


def fingerprint(key: bytes) -> str:
    """A public key as `ssh-keygen -l` shows it: `SHA256:...` (RFC 4253 section 6.6 encodes the key)."""
    kind = b"ssh-ed25519"
    blob = len(kind).to_bytes(4, "big") + kind + len(key).to_bytes(4, "big") + key
    return "SHA256:" + b64encode(sha256(blob).digest()).decode().rstrip("=")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_KEY_FILE_BYTES)
    except OSError as error:
        raise _unusable(path, "a file that can be read", error.strerror or str(error)) from None


def _unusable(path: Path, expected: str, seen: str) -> SetupError:
    return SetupError(
        "This key cannot be used.",
        code="key-unreadable",
        where=str(path),
        expected=expected,
        seen=seen,
        todo="make one: ssh-keygen -t ed25519 -N '' -f cassette-key",
    )
