"""What a TLS ClientHello says before anything is decrypted: the server name and the protocols the client offers.

Formats: record layer and ClientHello of RFC 8446 sections 5.1 and 4.1.2, server_name of RFC 6066 section 3,
application_layer_protocol_negotiation of RFC 7301 section 3.1.
"""

from __future__ import annotations

from typing import NamedTuple

TLS_HANDSHAKE = 0x16  # content type, the first byte of a ClientHello's record
MAX_HELLO = 64 * 1024
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ALPN = 16


class NotTlsError(Exception):
    """These bytes begin like TLS and are not a ClientHello."""


class ClientHello(NamedTuple):
    """`server_name` in lower case, empty when the client named none; `protocols` as offered, empty without ALPN."""

    server_name: str
    protocols: tuple[bytes, ...]


def read_hello(data: bytes) -> ClientHello | None:
    """The ClientHello at the start of `data`; None while it is not complete. Raises NotTlsError."""
    message = b""
    at = 0
    while True:
        if len(data) < at + 5:
            return None
        if data[at] != TLS_HANDSHAKE or data[at + 1] != 3:
            raise NotTlsError("not a TLS handshake record")
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        message += data[at + 5 : at + 5 + size]
        if message[:1] not in {b"", bytes([_CLIENT_HELLO])}:
            raise NotTlsError("the first handshake message is not a ClientHello")
        whole = 4 + int.from_bytes(message[1:4], "big") if len(message) >= 4 else 4
        if whole > MAX_HELLO:
            raise NotTlsError("the ClientHello is too long")
        if len(message) >= max(whole, 5):
            return _parse(message[4:whole])
        if len(data) < at + 5 + size or not size:
            return None
        at += 5 + size


def _parse(body: bytes) -> ClientHello:
    name = ""
    protocols: tuple[bytes, ...] = ()
    try:
        at = 34  # version and random
        at += 1 + body[at]  # session id
        at += 2 + int.from_bytes(body[at : at + 2], "big")  # cipher suites
        at += 1 + body[at]  # compression methods
        end = min(len(body), at + 2 + int.from_bytes(body[at : at + 2], "big"))
        at += 2
        while at + 4 <= end:
            kind, size = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
            value = body[at + 4 : at + 4 + size]
            at += 4 + size
            if kind == _SERVER_NAME:
                length = int.from_bytes(value[3:5], "big")
                name = value[5 : 5 + length].decode("ascii").lower()
            elif kind == _ALPN:
                protocols = _names(value[2:])
    except (IndexError, UnicodeDecodeError):
        raise NotTlsError("the ClientHello is malformed") from None
    return ClientHello(name, protocols)


def _names(value: bytes) -> tuple[bytes, ...]:
    names = []
    at = 0
    while at < len(value):
        names.append(value[at + 1 : at + 1 + value[at]])
        at += 1 + value[at]
    return tuple(names)
