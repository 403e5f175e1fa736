"""HTTP spoken by hand through the recorder's proxy, so that a test decides every byte and sees every read."""

import os
import socket
import ssl
from urllib.parse import urlsplit


def connect(host, *, protocols=("http/1.1",), cafile=None):
    """A TLS connection to `host`, as a client makes one that obeys the proxy variables."""
    proxy = urlsplit(os.environ["HTTPS_PROXY"])
    sock = socket.create_connection((proxy.hostname, proxy.port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    established = read_head(sock)
    if b" 200 " not in established:
        raise ConnectionError(established)
    context = ssl.create_default_context(cafile=cafile or os.environ.get("SSL_CERT_FILE"))
    context.set_alpn_protocols(list(protocols))
    return context.wrap_socket(sock, server_hostname=host)


def read_head(sock):
    """Bytes up to a blank line, one by one; b"" at an end."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        if not piece:
            break
        data += piece
    return data


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data


def length_of(head):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def read_answer(sock):
    """A head and the body its Content-Length says."""
    head = read_head(sock)
    return head + read_exactly(sock, length_of(head))


def read_all(sock):
    """Everything until the other side ends."""
    data = b""
    while True:
        try:
            piece = sock.recv(65536)
        except OSError as error:
            return data + f" [{type(error).__name__}]".encode()
        if not piece:
            return data
        data += piece
