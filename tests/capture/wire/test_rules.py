"""Rules are read from options and the user's environment, and say where a target is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from playhead.capture.wire.rules import UpstreamRules, split_host_port, url_target
from playhead.core.tape import Target
from playhead.errors import PlayheadError, SetupError, UsageError

API = Target("https", "api.example.com", 443)
LOCAL = Target("http", "localhost", 11434)


def test_without_rules_a_target_is_reached_where_it_is():
    """No variables, no options: straight there."""
    way = UpstreamRules.read({}).way(API)
    assert (way.scheme, way.host, way.port, way.proxy) == ("https", "api.example.com", 443, None)


@pytest.mark.parametrize(
    ("environment", "target", "host"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, API, "p"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, API, "low"),
        ({"HTTP_PROXY": "http://p:1"}, API, None),
        ({"HTTP_PROXY": "http://p:1"}, LOCAL, "p"),
        ({"ALL_PROXY": "http://all:1"}, API, "all"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:1"}, API, "p"),
        ({"HTTPS_PROXY": ""}, API, None),
        ({"HTTPS_PROXY": "p:8080"}, API, "p"),
    ],
)
def test_proxy_variables(environment, target, host):
    """Lower case wins, ALL_PROXY fills in, a scheme may be missing, empty means none."""
    proxy = UpstreamRules.read(environment).way(target).proxy
    assert (proxy.host if proxy else None) == host


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "direct"),
    [
        ("*", "x.org", 443, True),
        ("example.com", "example.com", 443, True),
        ("example.com", "api.example.com", 443, True),
        (".example.com", "api.example.com", 443, True),
        ("*.example.com", "api.example.com", 443, True),
        ("example.com", "notexample.com", 443, False),
        ("a.org, EXAMPLE.com", "example.com", 443, True),
        ("example.com:8443", "example.com", 8443, True),
        ("example.com:8443", "example.com", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.0.0.0/8", "ten.org", 80, False),
        ("127.0.0.1", "127.0.0.1", 80, True),
        ("::1", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("fe80::/10", "fe80::1", 80, True),
        ("", "x.org", 443, False),
        ("bad/entry,:,[", "x.org", 443, False),
    ],
)
def test_no_proxy_entries(no_proxy, host, port, direct):
    """Names and all under them, ports, addresses, networks, and everything."""
    rules = UpstreamRules.read({"ALL_PROXY": "http://p:1", "NO_PROXY": no_proxy})
    assert (rules.way(Target("http", host, port)).proxy is None) is direct


def test_maps():
    """A mapping holds for every port of a host, or for one; loopback stand-ins need no proxy."""
    rules = UpstreamRules.read(
        {"ALL_PROXY": "http://p:1"},
        maps=["API.example.com=http://127.0.0.1:8000", "other:8443=https://gateway.example.org"],
    )
    way = rules.way(API)
    assert (way.scheme, way.host, way.port, way.proxy, way.names) == (
        "http",
        "127.0.0.1",
        8000,
        None,
        ("127.0.0.1", "api.example.com"),
    )
    assert rules.way(Target("https", "other", 8443)).host == "gateway.example.org"
    assert rules.way(Target("https", "other", 8443)).proxy is not None
    assert rules.way(Target("https", "other", 443)).host == "other"


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        ({"maps": ["nonsense"]}, UsageError, "bad-map"),
        ({"maps": ["h=ftp://x"]}, UsageError, "bad-map"),
        ({"maps": ["h=http://x/path"]}, UsageError, "bad-map"),
        ({"maps": ["=http://x"]}, UsageError, "bad-map"),
        ({"maps": ["h=http://x:99999"]}, UsageError, "bad-map"),
        ({"prefixes": {"openai": "api.openai.com"}}, UsageError, "bad-base-url"),
        ({"upstream_ca": Path("/nonexistent/ca.pem")}, SetupError, "upstream-ca"),
        ({"environment": {"HTTPS_PROXY": "socks5://u:secret@p:1"}}, SetupError, "proxy-unsupported"),
        ({"environment": {"HTTPS_PROXY": "http://u:secret@p:port"}}, SetupError, "proxy-unsupported"),
    ],
)
def test_what_cannot_be_a_rule(arguments, kind, code):
    """Each mistake has its own code, says what to do, and never repeats a password."""
    environment = arguments.pop("environment", {})
    with pytest.raises(PlayheadError) as caught:
        UpstreamRules.read(environment, **arguments)
    assert isinstance(caught.value, kind)
    assert caught.value.code == code
    assert caught.value.todo
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "host", "ignored"),
    [
        ("example.com", "example.com", True),
        ("example.com", "api.example.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "example.com", False),
        ("Example.COM", "example.com", True),
    ],
)
def test_ignored_hosts(entry, host, ignored):
    """Exactly the host, or everything under a suffix."""
    assert UpstreamRules.read({}, ignore_hosts=[entry]).is_ignored(host) is ignored


def test_trust_comes_from_the_users_variables(world, tmp_path):
    """SSL_CERT_FILE stands in place of the system's roots; client-specific variables and --upstream-ca add to them."""
    system = UpstreamRules.read({}).client_context(protocol="http/1.1").cert_store_stats()["x509_ca"]
    only = UpstreamRules.read({"SSL_CERT_FILE": str(world.root)}).client_context(protocol="http/1.1")
    assert only.cert_store_stats()["x509_ca"] == 1
    for environment, option in (({"REQUESTS_CA_BUNDLE": str(world.root)}, None), ({}, world.root)):
        more = UpstreamRules.read(environment, upstream_ca=option).client_context(protocol="h2")
        assert more.cert_store_stats()["x509_ca"] == system + 1
    gone = UpstreamRules.read({"SSL_CERT_FILE": str(tmp_path / "gone"), "CURL_CA_BUNDLE": "/nonexistent"})
    assert gone.client_context(protocol="http/1.1").cert_store_stats()["x509_ca"] == system


def test_trust_that_is_no_certificate_is_refused(tmp_path):
    """A file that holds no certificate is named."""
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(SetupError) as caught:
        UpstreamRules.read({}, upstream_ca=path).client_context(protocol="http/1.1")
    assert caught.value.code == "upstream-ca"
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h:1", ("h", 1)),
        ("H.Org:443", ("h.org", 443)),
        ("[::1]:80", ("::1", 80)),
        ("h", None),
        ("h:0", None),
        ("h:70000", None),
        ("h:x", None),
        (":80", None),
        ("::1", None),
    ],
)
def test_host_and_port(text, expected):
    """The authority of a CONNECT, and what is none."""
    assert split_host_port(text) == expected


def test_urls():
    """Default ports, IPv6, and what is no http URL."""
    assert url_target("https://[::1]/v1") == (Target("https", "::1", 443), "/v1")
    assert url_target("HTTP://A.b:8") == (Target("http", "a.b", 8), "")
    assert url_target("http://") is None
    assert url_target("ws://x") is None
