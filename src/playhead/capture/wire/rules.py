"""Where a target is really reached: `--map`, the user's own proxy variables, trust, and the reverse entrance's names.

The child's proxy and trust variables point at the engine; what the user had set there is honoured here instead, on
the engine's own upstream side. Values, no I/O but the reading of trust files.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from playhead.capture.wire.authority import system_roots
from playhead.core.tape import Target
from playhead.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PORTS = {"http": 80, "https": 443}
_MORE_TRUST = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "DENO_CERT")


class Proxy(NamedTuple):
    """A proxy of the user's. `authorization` is the whole value of Proxy-Authorization, or empty."""

    host: str
    port: int
    authorization: str = ""


class Way(NamedTuple):
    """How a target is reached: where to connect, through what, and which names its certificate may bear."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None
    names: tuple[str, ...]


class Prefix(NamedTuple):
    """What stands behind `/p/NAME`: a target and the path that goes before the rest (no trailing slash)."""

    target: Target
    path: str


class Trust(NamedTuple):
    """Whom upstream certificates may be signed by. Empty `files` and `directory`: this system's roots."""

    files: tuple[Path, ...] = ()
    directory: Path | None = None
    more: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamRules:
    """The rules of one run. Make one with `read`."""

    maps: Mapping[str, Target] = field(default_factory=dict)  # "host" or "host:port", lower case
    prefixes: Mapping[str, Prefix] = field(default_factory=dict)
    ignore_hosts: tuple[str, ...] = ()
    allow_live: frozenset[tuple[str, int | None]] = frozenset()
    proxies: Mapping[str, Proxy] = field(default_factory=dict)  # by the target's scheme
    no_proxy: tuple[str, ...] = ()
    trust: Trust = field(default_factory=Trust)

    @classmethod
    def read(
        cls,
        environment: Mapping[str, str],
        *,
        maps: Iterable[str] = (),
        prefixes: Mapping[str, str] | None = None,
        ignore_hosts: Iterable[str] = (),
        allow_live: Iterable[tuple[str, int | None]] = (),
        upstream_ca: Path | None = None,
    ) -> UpstreamRules:
        """Rules from the user's own environment and options: `maps` as HOST=URL, `prefixes` as name -> base URL.

        Raises UsageError ("bad-map", "bad-base-url") and SetupError ("proxy-unsupported", "upstream-ca").
        """
        no_proxy = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        return cls(
            maps=dict(_map(text) for text in maps),
            prefixes={name: _prefix(name, url) for name, url in (prefixes or {}).items()},
            ignore_hosts=tuple(host.lower() for host in ignore_hosts),
            allow_live=frozenset((host.lower(), port) for host, port in allow_live),
            proxies=_proxies(environment),
            no_proxy=tuple(entry.strip().lower() for entry in no_proxy.split(",") if entry.strip()),
            trust=_trust(environment, upstream_ca),
        )

    def way(self, target: Target) -> Way:
        """How `target` is reached."""
        place = self.maps.get(f"{target.host}:{target.port}") or self.maps.get(target.host)
        if place is None:
            proxy = None if self._goes_direct(target.host, target.port) else self.proxies.get(target.scheme)
            return Way(target.scheme, target.host, target.port, proxy, (target.host,))
        direct = _is_loopback(place.host) or self._goes_direct(place.host, place.port)
        proxy = None if direct else self.proxies.get(place.scheme)
        return Way(place.scheme, place.host, place.port, proxy, (place.host, target.host))

    def is_ignored(self, host: str) -> bool:
        """Whether the user asked that `host` is not recorded: named exactly, or under a `*.suffix`."""
        return any(
            host == entry or (entry.startswith("*.") and host.endswith(entry[1:])) for entry in self.ignore_hosts
        )

    def is_live(self, host: str, port: int) -> bool:
        """Whether a replay may let this place be reached."""
        return (host, port) in self.allow_live or (host, None) in self.allow_live

    def client_context(self, *, protocol: str) -> ssl.SSLContext:
        """A TLS context for the world's side that offers `protocol` alone ("http/1.1", "h2", "" = none) by ALPN. Names are
        checked by the dialer, since a mapped host may bear either name. Raises SetupError "upstream-ca"."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        if protocol:
            context.set_alpn_protocols([protocol])
        trust = self.trust
        for path in (*trust.files, *trust.more):
            try:
                context.load_verify_locations(cafile=path)
            except (OSError, ValueError) as error:
                raise _bad_trust(path, error) from error
        if trust.directory is not None:
            context.load_verify_locations(capath=trust.directory)
        if not trust.files and trust.directory is None:
            _load_system_roots(context)
        return context

    def _goes_direct(self, host: str, port: int) -> bool:
        return any(_excludes(entry, host, port) for entry in self.no_proxy)


def url_target(url: str) -> tuple[Target, str] | None:
    """The target and path of an http or https URL; None when it is none."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            return None
        return Target(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]), parts.path
    except ValueError:
        return None


def split_host_port(text: str, default: int | None = None) -> tuple[str, int] | None:
    """`host:port`, `[v6]:port` or, with a default port, `host`; None when it is none. The host in lower case."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest[:1] == ":" else ""
    else:
        host, _, port = text.partition(":")
    if not port and default is not None:
        return (host.lower(), default) if host else None
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    return host.lower(), int(port)


def _map(text: str) -> tuple[str, Target]:
    host, _, url = text.partition("=")
    found = url_target(url)
    if not host or found is None or found[1] not in {"", "/"}:
        raise UsageError(
            "This is no mapping of a host.",
            code="bad-map",
            where=f"--map {text}",
            expected="HOST=URL with http or https, a host and maybe a port, and no path",
            todo="for example: --map api.openai.com=http://127.0.0.1:8000",
        )
    return host.lower(), found[0]


def _prefix(name: str, url: str) -> Prefix:
    found = url_target(url)
    if found is None:
        raise UsageError(
            "This is no base URL.",
            code="bad-base-url",
            where=name,
            expected="an http or https URL",
            seen=url,
            todo="correct the variable that holds it",
        )
    return Prefix(found[0], found[1].rstrip("/"))


def _proxies(environment: Mapping[str, str]) -> dict[str, Proxy]:
    found = {}
    for scheme in _PORTS:
        for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
            if environment.get(name):
                found[scheme] = _proxy(name, environment[name])
                break
    return found


def _proxy(name: str, url: str) -> Proxy:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port, parts = None, 80, urlsplit("")
    if parts.scheme != "http" or not host:
        raise SetupError(
            "Recorded calls cannot go through this proxy.",
            code="proxy-unsupported",
            where=name,
            expected="http://[user:password@]host[:port]",
            seen=f"{parts.scheme or 'not a'}:// URL",  # never the URL: it may hold a password
            todo=f"name an HTTP proxy in {name}, or clear it for this run",
        )
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return Proxy(host, port, authorization)


def _excludes(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY speaks of this place: `*`, a name and all names under it, an address, a network
    (CIDR), each maybe with a port. (curl's and Go's common ground; there is no standard.)"""
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted = entry, None
    if entry.startswith("[") or entry.count(":") == 1:
        split = split_host_port(entry, 0)
        if split is None:
            return False
        name, wanted = split[0], split[1] or None
    if wanted is not None and wanted != port:
        return False
    name = name.removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _trust(environment: Mapping[str, str], upstream_ca: Path | None) -> Trust:
    files = tuple(Path(environment[name]) for name in ("SSL_CERT_FILE",) if environment.get(name))
    directory = environment.get("SSL_CERT_DIR")
    # A client that was told of a company's root by a variable of its own trusted it; so must its stand-in.
    more = [Path(environment[name]) for name in _MORE_TRUST if environment.get(name)]
    more = [path for path in more if path.is_file()]
    if upstream_ca is not None:
        if not upstream_ca.is_file():
            raise _bad_trust(upstream_ca, FileNotFoundError("no such file"))
        try:  # said now, and not at the first call
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=upstream_ca)
        except (OSError, ValueError) as error:
            raise _bad_trust(upstream_ca, error) from error
        more.append(upstream_ca)
    more = [path for path in dict.fromkeys(more) if path not in files]
    return Trust(
        tuple(path for path in files if path.is_file()),
        Path(directory) if directory and Path(directory).is_dir() else None,
        tuple(more),
    )


def _load_system_roots(context: ssl.SSLContext) -> None:
    roots = system_roots()
    if roots:
        context.load_verify_locations(cafile=roots[0])
    else:
        context.load_default_certs()


def _bad_trust(path: Path, error: Exception) -> SetupError:
    return SetupError(
        "A file of trusted certificates cannot be read.",
        code="upstream-ca",
        where=str(path),
        expected="certificates in PEM",
        seen=str(error) or type(error).__name__,
        todo="correct --upstream-ca, or the variable that names the file",
    )
