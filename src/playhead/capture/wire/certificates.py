"""Signing: the authority's own certificate and the leaves that stand for hosts. Imports `cryptography`.

Profile: RFC 5280 with what strict verifiers ask for (key usage, subject and authority key identifiers, SAN).
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from playhead.core.clock import wall_ns

AUTHORITY_LIFETIME = timedelta(days=5 * 365)
LEAF_LIFETIME = timedelta(days=90)
_BACKDATE = timedelta(days=2)  # clocks of containers and virtual machines lag


def new_key() -> bytes:
    """A fresh P-256 private key, PKCS #8 PEM without a passphrase."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def sign_authority(key_pem: bytes, *, lifetime: timedelta = AUTHORITY_LIFETIME, now: datetime | None = None) -> bytes:
    """A self-signed authority certificate for the key, PEM. Raises ValueError or TypeError for what is no key."""
    key = _load_key(key_pem)
    now = now or _now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Playhead local authority {os.urandom(4).hex()}")])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def sign_leaf(host: str, *, authority: tuple[bytes, bytes], key: bytes) -> tuple[bytes, int]:
    """A server certificate for `host`, PEM, and its last second since the epoch. `authority` is (certificate, key),
    `key` the leaf's own, all PEM. Raises ValueError for a host that cannot stand in a certificate."""
    issuer, signer, leaf_key = x509.load_pem_x509_certificate(authority[0]), _load_key(authority[1]), _load_key(key)
    now = _now()
    end = min(now + LEAF_LIFETIME, issuer.not_valid_after_utc)
    alternative: x509.GeneralName
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64] or "host")]))
        .issuer_name(issuer.subject)
        .public_key(leaf_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - _BACKDATE, issuer.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), int(end.timestamp())


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not an elliptic-curve key")
    return key


def _now() -> datetime:
    return datetime.fromtimestamp(wall_ns() // 1_000_000_000, UTC)
