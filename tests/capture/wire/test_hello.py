"""ClientHellos of a real TLS library, read at every split."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.capture.wire.hello import ClientHello, NotTlsError, read_hello


def hello(name: str | None, protocols: tuple[str, ...] = ()) -> bytes:
    """The first flight of an OpenSSL client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_name_and_protocols():
    """The server name and the offered protocols are read."""
    assert read_hello(hello("Api.Example.com", ("h2", "http/1.1"))) == ClientHello(
        "api.example.com", (b"h2", b"http/1.1")
    )


def test_neither_name_nor_protocols():
    """A client that names nobody and offers nothing says so."""
    assert read_hello(hello(None)) == ClientHello("", ())


def test_incomplete_at_every_byte_and_complete_in_any_records():
    """Every proper prefix is incomplete; the same message cut into many records reads the same."""
    data = hello("example.com", ("http/1.1",))
    assert all(read_hello(data[:cut]) is None for cut in range(len(data)))
    body = data[5:]
    for size in (1, 3, 4, 100):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        records = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)
        assert read_hello(records) == read_hello(data)


@given(st.binary(max_size=300))
def test_hostile_bytes_never_raise_anything_else(data):
    """Anything behind a handshake's first byte is a hello, incomplete, or refused by name."""
    for prefix in (b"\x16", b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"):
        with contextlib.suppress(NotTlsError):
            read_hello(prefix + data)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x16\x02\x00\x00\x01\x01", b"GET / "])
def test_what_is_no_hello(data):
    """Another handshake message, another record version, and no TLS at all are refused."""
    with pytest.raises(NotTlsError):
        read_hello(data)
