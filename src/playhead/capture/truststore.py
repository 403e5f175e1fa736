"""A PKCS#12 truststore for Java, made from a PEM bundle once and kept beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

PASSWORD = b"changeit"  # what every JDK ships with; a truststore holds public certificates only


def java_truststore(bundle: Path) -> Path | None:
    """The truststore that holds the certificates of `bundle` (PEM); its name carries the bundle's hash, so it is made
    once for each content. None when the bundle holds none that parses or `cryptography` is too old to write one (before 45)."""
    data = bundle.read_bytes()
    store = bundle.with_name(f"truststore-{hashlib.sha256(data).hexdigest()[:16]}.p12")
    if store.exists():
        return store
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    serialize = getattr(pkcs12, "serialize_java_truststore", None)
    if serialize is None:
        return None
    certificates: dict[x509.Certificate, None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # system roots hold certificates with odd serial numbers
        for pem in _PEM.findall(data):
            with contextlib.suppress(ValueError):  # one certificate we cannot read must not cost the others
                certificates[x509.load_pem_x509_certificate(pem)] = None
    if not certificates:
        return None
    entries = [pkcs12.PKCS12Certificate(c, f"playhead-{n}".encode()) for n, c in enumerate(certificates)]
    partial = store.with_name(f"{store.name}.{os.getpid()}")
    try:
        partial.write_bytes(serialize(entries, BestAvailableEncryption(PASSWORD)))
    except OSError:
        partial.unlink(missing_ok=True)  # the half that a full disk took
        raise
    partial.replace(store)  # two first runs at once must not read each other's half
    return store
