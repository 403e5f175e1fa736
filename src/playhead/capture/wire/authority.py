"""The local certificate authority: what makes clients of a recorded run accept the engine as the host they asked for.

    DIRECTORY (0700)/ca.pem     the authority's certificate, the only file to be trusted
                     ca.key     its key (0600); never leaves this machine
                     leaf.key   one key for all leaves (0600)
                     leaves/    one certificate a host, so that a warm start signs nothing

`cryptography` is imported only when something must be signed (72 ms, once).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import ssl
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from playhead.core.clock import rfc3339, wall_ns
from playhead.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterable

CERTIFICATE = "ca.pem"
KEY = "ca.key"
LEAF_KEY = "leaf.key"
LEAVES = "leaves"
MAX_CONTEXTS = 512  # hosts kept in memory, about 50 kB each
MAX_LEAVES = 512  # hosts kept on disk
_DAY_S = 86_400
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,120}\Z")
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/openssl@3/cert.pem",
)


class Authority:
    """The authority of one store. Contexts are cached; not thread-safe."""

    def __init__(self, directory: Path, fingerprint: str) -> None:
        """Use `open`, which checks what is there."""
        self.directory = directory
        self._fingerprint = fingerprint
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self._leaf_key_pem: bytes | None = None

    @classmethod
    def open(cls, directory: Path, *, create: bool = True) -> Authority:
        """The authority in `directory`, made first when there is none and `create` is set; processes that make it
        at the same time agree on one. Raises SetupError: "ca-absent", "ca-unreadable", "ca-expired"."""
        certificate = directory / CERTIFICATE
        if not certificate.exists():
            if not create:
                raise SetupError(
                    "There is no certificate authority yet.",
                    code="ca-absent",
                    where=str(certificate),
                    todo="playhead init makes one",
                )
            _create(directory)
        return cls._checked(directory)

    @classmethod
    def renew(cls, directory: Path) -> Authority:
        """A new authority in place of whatever is in `directory`; clients that were told to trust the old one must
        be told again. Raises SetupError "ca-unreadable" when the directory cannot be written."""
        for name in (CERTIFICATE, KEY, LEAF_KEY):
            with contextlib.suppress(FileNotFoundError):
                (directory / name).unlink()
        for leaf in (directory / LEAVES).glob("*.pem"):
            leaf.unlink(missing_ok=True)
        _create(directory)
        return cls._checked(directory)

    @classmethod
    def _checked(cls, directory: Path) -> Authority:
        certificate = directory / CERTIFICATE
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            pem = certificate.read_bytes()
            context.load_verify_locations(cadata=pem.decode("ascii"))
            context.load_cert_chain(certificate, directory / KEY)
            facts = context.get_ca_certs()[0]
            begin, end = (ssl.cert_time_to_seconds(str(facts[key])) for key in ("notBefore", "notAfter"))
        except (OSError, ValueError, IndexError) as error:  # ssl.SSLError is an OSError
            raise SetupError(
                "The certificate authority cannot be read.",
                code="ca-unreadable",
                where=str(directory),
                expected=f"{CERTIFICATE} and the {KEY} that belongs to it",
                seen=str(error) or type(error).__name__,
                todo="check the directory's permissions, or make a new authority with: playhead init",
            ) from error
        now = wall_ns() // 1_000_000_000
        if not begin <= now < end:
            ends = now >= end
            raise SetupError(
                f"The certificate authority {'expired' if ends else 'is not valid yet'}.",
                code="ca-expired",
                where=str(certificate),
                expected=f"valid from {rfc3339(begin * 1_000_000_000)} to {rfc3339(end * 1_000_000_000)}",
                seen=f"this machine's clock says {rfc3339(wall_ns())}",
                todo="make a new authority with: playhead init" if ends else "set the clock, or: playhead init",
            )
        return cls(directory, hashlib.sha256(pem).hexdigest()[:16])

    @property
    def certificate_path(self) -> Path:
        """The certificate to be trusted, PEM."""
        return self.directory / CERTIFICATE

    def server_context(self, host: str) -> ssl.SSLContext:
        """A TLS context that speaks as `host` (a name, or an IP address without brackets) and agrees on HTTP/1.1
        before HTTP/2. Raises ValueError for what cannot stand in a certificate."""
        context = self._contexts.get(host)
        if context is not None:
            self._contexts.move_to_end(host)
            return context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1", "h2"])
        if not self._load_kept(context, host):
            self._load_signed(context, host)
        self._contexts[host] = context
        if len(self._contexts) > MAX_CONTEXTS:
            self._contexts.popitem(last=False)
        return context

    def write_bundle(self, path: Path, roots: Iterable[Path] = ()) -> Path:
        """Write to `path` the system's roots, those in `roots` (files or directories of PEM) and our own certificate,
        each once; returns `path`. A bundle that is already the same is left alone."""
        blocks: dict[bytes, None] = {}
        for source in [*system_roots(), *roots, self.certificate_path]:
            files = sorted(source.iterdir()) if source.is_dir() else [source]
            for file in files:
                with contextlib.suppress(OSError):
                    blocks.update(dict.fromkeys(_BLOCK.findall(file.read_bytes())))
        data = b"\n".join(blocks) + b"\n"
        with contextlib.suppress(OSError):
            if path.read_bytes() == data:
                return path
        _replace(path, data, mode=0o644)
        return path

    # -- leaves

    def _leaf_path(self, host: str) -> Path:
        name = host if _PLAIN_NAME.match(host) else hashlib.sha256(host.encode()).hexdigest()
        return self.directory / LEAVES / f"{name}.{self._fingerprint}.pem"

    def _load_kept(self, context: ssl.SSLContext, host: str) -> bool:
        path = self._leaf_path(host)
        try:
            with path.open("rb") as file:
                head = file.readline(64)
            if int(head.split()[-1]) < wall_ns() // 1_000_000_000 + _DAY_S:
                return False
            context.load_cert_chain(path, self.directory / LEAF_KEY)
        except (OSError, ValueError, IndexError):
            return False
        return True

    def _load_signed(self, context: ssl.SSLContext, host: str) -> None:
        from playhead.capture.wire import certificates

        authority = (self.certificate_path.read_bytes(), (self.directory / KEY).read_bytes())
        if self._leaf_key_pem is None:
            self._leaf_key_pem = self._leaf_key()
        pem, not_after_s = certificates.sign_leaf(host, authority=authority, key=self._leaf_key_pem)
        data = b"not-after: %d\n" % not_after_s + pem
        path = self._leaf_path(host)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if sum(1 for _ in path.parent.iterdir()) < MAX_LEAVES:
                _replace(path, data, mode=0o600)
                context.load_cert_chain(path, self.directory / LEAF_KEY)
                return
        except (OSError, ssl.SSLError):
            pass  # a store that cannot be written, or a leaf.key that changed: the chain goes through a private file
        with tempfile.NamedTemporaryFile(prefix="leaf-", suffix=".pem") as file:
            file.write(self._leaf_key_pem + pem)
            file.flush()
            context.load_cert_chain(file.name)

    def _leaf_key(self) -> bytes:
        from playhead.capture.wire import certificates

        path = self.directory / LEAF_KEY
        with contextlib.suppress(OSError):
            return path.read_bytes()
        pem = certificates.new_key()
        with contextlib.suppress(OSError):
            return _keep_first(path, pem, mode=0o600)
        return pem


def system_roots() -> list[Path]:
    """The file of this system's trusted roots, as a list of none or one."""
    defaults = ssl.get_default_verify_paths()
    for name in (defaults.openssl_cafile, *_SYSTEM_ROOTS):
        if name and Path(name).is_file():
            return [Path(name)]
    try:
        import certifi
    except ImportError:
        return []
    return [Path(certifi.where())]


def _create(directory: Path) -> None:
    # Whoever links its key first wins; the certificate is made for that key, and again the first link wins. No lock
    # to be left behind, and a process killed in between is completed by the next.
    from playhead.capture.wire import certificates

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = _keep_first(directory / KEY, certificates.new_key(), mode=0o600)
        _keep_first(directory / CERTIFICATE, certificates.sign_authority(key), mode=0o644)
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(
            "The certificate authority cannot be made.",
            code="ca-unreadable",
            where=str(directory),
            seen=str(error) or type(error).__name__,
            todo="check the directory's permissions, or choose another store with --store",
        ) from error


def _keep_first(path: Path, data: bytes, *, mode: int) -> bytes:
    """Put `data` at `path` unless something is there already; returns what is there then. Atomic."""
    temporary = _write_beside(path, data, mode=mode)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        temporary.unlink()
    return data


def _replace(path: Path, data: bytes, *, mode: int) -> None:
    _write_beside(path, data, mode=mode).replace(path)


def _write_beside(path: Path, data: bytes, *, mode: int) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary = Path(name)
    temporary.chmod(mode)
    return temporary
