"""The environment of the recorded child: how its HTTP clients come to speak to the engine, whatever they are written in.

Nothing here touches the caller's own environment. Four routes are armed at once (`auto`), because no single one reaches
every client: proxy variables and a CA bundle, a Python site hook, a Node preload, and base URLs where the user had set
one.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from playhead.capture.base_urls import base_urls_of, redirect
from playhead.capture.truststore import java_truststore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOOKS = Path(__file__).parent / "hooks"

PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
NO_PROXY_NAMES = ("NO_PROXY", "no_proxy")

BUNDLE_NAMES = (
    "SSL_CERT_FILE",  # OpenSSL and all that ask it for its defaults: httpx, httpx2, urllib, aiohttp, Go, Ruby
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "CARGO_HTTP_CAINFO",
    "CODEX_CA_CERTIFICATE",
)
"""Variables whose file replaces the client's roots: they must name system roots and ours together."""

ADDED_CA_NAMES = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
"""Variables whose file is trusted beside the client's own roots: ours alone suffices."""

_KEY_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|APIKEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|CREDENTIALS|PAT|AUTH|ACCESS_KEY_ID|KEY_ID)"
    r"(?:_?\d+)?$",
    re.IGNORECASE,
)
_NO_KEYS = frozenset({"SSH_AUTH_SOCK", "XAUTHORITY", "GOOGLE_APPLICATION_CREDENTIALS"})  # these name files


_NOT_FOR_CHILDREN = frozenset({"PLAYHEAD_IDENTITY", "PLAYHEAD_PASSPHRASE"})  # they open cassettes, for us alone


class RouteChoice(StrEnum):
    """What `--route` may say. `AUTO` arms everything; the others arm one way only, to find out which one works."""

    AUTO = "auto"
    BASE_URL = "base-url"
    PROXY = "proxy"
    HOOK = "hook"


@dataclass(frozen=True, slots=True)
class ChildEnvironment:
    """What to start the child with, and what the engine must know about it.

    `variables` is the whole environment. `upstreams` maps the reverse entrance's names to origins, `openai` ->
    `http://localhost:8000`: a request for `/p/openai/v1/x` goes to `http://localhost:8000/v1/x`. `base_urls` holds the
    variables that were replaced with the value the user meant, to be kept with the session so that a replay sets the
    same ones. `placeholders` names the variables that were absent and now hold a dummy. `notes` says what could not be
    armed, one sentence each."""

    variables: dict[str, str]
    upstreams: dict[str, str]
    base_urls: dict[str, str]
    placeholders: tuple[str, ...]
    notes: tuple[str, ...]


def child_environment(
    user: Mapping[str, str],
    *,
    port: int,
    run: str,
    authority_pem: Path,
    bundle: Path,
    hooks: Path = HOOKS,
    route: RouteChoice = RouteChoice.AUTO,
    base_urls: Mapping[str, str] | None = None,
    placeholders: Iterable[str] = (),
    tape: Mapping[str, str] | None = None,
) -> ChildEnvironment:
    """The child's environment, made from the user's.

    `port` is the engine's on 127.0.0.1, `run` the session id, `authority_pem` our CA alone, `bundle` the system's and
    the user's roots with ours (its folder is also where files derived from it are kept). `base_urls` are those of a
    recording, for a replay: they are set again whatever the user's environment says, and base-URL variables that the
    recording did not know are taken away. `placeholders` names the key variables of the recording: absent ones are
    filled so that SDK constructors work. `tape` are the variables that put Pythons on a tape of their own (runs.agent)."""
    variables = {name: value for name, value in user.items() if name not in _NOT_FOR_CHILDREN}
    notes: list[str] = []
    wanted = base_urls_of(user, defaults=route is RouteChoice.BASE_URL) if base_urls is None else dict(base_urls)
    redirected = redirect(wanted, port)
    if route in (RouteChoice.AUTO, RouteChoice.BASE_URL) or base_urls is not None:
        for name in base_urls_of(user) if base_urls is not None else ():
            variables.pop(name, None)
        variables.update(redirected.variables)
    else:
        redirected, wanted = redirect({}, port), {}
    ours: dict[str, str] = {}
    if route in (RouteChoice.AUTO, RouteChoice.PROXY):
        ours |= _proxy(port)
        ours["JAVA_TOOL_OPTIONS"] = _java(user, port, bundle, notes)
    if route is not RouteChoice.BASE_URL:
        ours |= _trust(user, authority_pem, bundle)
    if route in (RouteChoice.AUTO, RouteChoice.HOOK):
        ours |= _hooks(user, hooks)
        ours |= tape or {}
    ours |= {"PLAYHEAD_PORT": str(port), "PLAYHEAD_RUN": run, "PLAYHEAD_ROUTE": route.value}
    # A child that is started with a chosen few variables loses ours; the hooks give these back to it.
    ours["PLAYHEAD_VARIABLES"] = ",".join(sorted([*ours, *redirected.variables]))
    variables.update(ours)
    filled = tuple(name for name in placeholders if not variables.get(name))
    variables.update({name: placeholder(name) for name in filled})
    return ChildEnvironment(variables, redirected.upstreams, wanted, filled, tuple(notes))


def trusted_files(user: Mapping[str, str]) -> list[Path]:
    """The CA files the user's environment already names, each once, in the order of BUNDLE_NAMES: to be part of the
    bundle, since our variables hide them from the child."""
    found = dict.fromkeys(Path(user[name]) for name in BUNDLE_NAMES if user.get(name))
    return [path for path in found if path.is_file()]


def key_names(environment: Mapping[str, str]) -> list[str]:
    """Names, sorted, of the variables that look like they hold a credential. Values are not looked at, except that an
    empty one holds nothing."""
    return sorted(n for n, v in environment.items() if v and n not in _NO_KEYS and _KEY_NAME.search(n))


def placeholder(name: str) -> str:
    """A dummy for the key variable `name`, shaped so that the SDK that reads it accepts it, and plainly no key."""
    known = _PLACEHOLDERS.get(name.upper())
    return known if known is not None else "playhead-placeholder"


_PLACEHOLDERS = {
    "OPENAI_API_KEY": "sk-playhead-placeholder",
    "AZURE_OPENAI_API_KEY": "playhead0placeholder0000000000000",
    "ANTHROPIC_API_KEY": "sk-ant-playhead-placeholder",
    "GEMINI_API_KEY": "playhead-placeholder",
    "GOOGLE_API_KEY": "playhead-placeholder",
    "AWS_ACCESS_KEY_ID": "PLAYHEADPLACEHOLDER0",  # 20 characters, as botocore's own documentation shows them
    "AWS_SECRET_ACCESS_KEY": "playhead/placeholder/playhead/placeholde",  # 40 characters
    "AWS_SESSION_TOKEN": "playheadplaceholder",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "GROQ_API_KEY": "gsk-playhead-placeholder",
    "HF_TOKEN": "hf-playhead-placeholder",
    "HUGGING_FACE_HUB_TOKEN": "hf-playhead-placeholder",
}


def _proxy(port: int) -> dict[str, str]:
    """Proxy variables in both cases. NO_PROXY is emptied: the user's exceptions are applied by the engine, upstream."""
    proxy = f"http://127.0.0.1:{port}"
    # NODE_USE_ENV_PROXY does nothing on Node 20, and from 22.21 makes fetch and http read the variables above.
    return dict.fromkeys(PROXY_NAMES, proxy) | dict.fromkeys(NO_PROXY_NAMES, "") | {"NODE_USE_ENV_PROXY": "1"}


def _trust(user: Mapping[str, str], authority_pem: Path, bundle: Path) -> dict[str, str]:
    trust = dict.fromkeys(BUNDLE_NAMES, str(bundle))
    for name in ADDED_CA_NAMES:
        trust[name] = str(_beside(user.get(name), authority_pem, bundle.with_name(f"{name.lower()}.pem")))
    return trust


def _beside(theirs: str | None, authority_pem: Path, joined: Path) -> Path:
    """Our CA, or a file `joined` that holds the user's additional CA and ours when the user had named one."""
    if not theirs or not Path(theirs).is_file():
        return authority_pem
    joined.write_bytes(Path(theirs).read_bytes().rstrip(b"\n") + b"\n" + authority_pem.read_bytes())
    return joined


def _hooks(user: Mapping[str, str], hooks: Path) -> dict[str, str]:
    shim, preload = str(hooks / "python"), _option(str(hooks / "node" / "preload.cjs"))
    node, python = user.get("NODE_OPTIONS", ""), user.get("PYTHONPATH", "")
    if preload not in node:
        node = f"{node} --require {preload}".strip()
    # An empty element of PYTHONPATH would mean the working directory: join only what is there.
    paths = [shim, *(part for part in python.split(":") if part and part != shim)] if python else [shim]
    return {"NODE_OPTIONS": node, "PYTHONPATH": ":".join(paths)}


def _option(path: str) -> str:
    """A path as one word of NODE_OPTIONS, where blanks divide and a backslash escapes inside double quotes."""
    if not re.search(r'[\s"\\]', path):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _java(user: Mapping[str, str], port: int, bundle: Path, notes: list[str]) -> str:
    """JVM options: the JVM ignores proxy variables and has its own roots. It says so on the child's stderr."""
    options = [user.get("JAVA_TOOL_OPTIONS", "")]
    for scheme in ("http", "https"):
        options += [f"-D{scheme}.proxyHost=127.0.0.1", f"-D{scheme}.proxyPort={port}"]
    options.append("-Dhttp.nonProxyHosts=")
    java_home = user.get("JAVA_HOME")
    if shutil.which("java", path=user.get("PATH")) or (java_home and (Path(java_home) / "bin" / "java").exists()):
        store = java_truststore(bundle)
        if store is None:
            notes.append("Java clients will not trust the recorder: no truststore could be made from the CA bundle.")
        else:
            options += [f"-Djavax.net.ssl.trustStore={_quoted(store)}", "-Djavax.net.ssl.trustStorePassword=changeit"]
    return " ".join(option for option in options if option)


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)
