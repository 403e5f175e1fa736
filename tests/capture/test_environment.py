"""The environment of the recorded child."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from playhead.capture.environment import (
    BUNDLE_NAMES,
    ChildEnvironment,
    RouteChoice,
    child_environment,
    key_names,
    placeholder,
    trusted_files,
)
from playhead.capture.truststore import java_truststore
from tests.support.authority import TestAuthority


@pytest.fixture
def make(tmp_path):
    """Build a child environment from a user's, with files that exist."""
    authority = TestAuthority(tmp_path / "ca")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.pem.read_bytes())

    def make(user=None, **options) -> ChildEnvironment:
        return child_environment(
            user or {}, port=4321, run="0123456789abcdef", authority_pem=authority.pem, bundle=bundle, **options
        )

    make.pem, make.bundle = authority.pem, bundle
    return make


def test_auto_sets_every_variable_of_the_table(make):
    """Proxy in both cases, the bundle for what replaces roots, our CA alone for what adds to them, both hooks."""
    env = make().variables
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        assert env[name] == "http://127.0.0.1:4321"
    assert env["NO_PROXY"] == env["no_proxy"] == ""
    for name in (
        "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "GIT_SSL_CAINFO", "PIP_CERT", "HTTPLIB2_CA_CERTS", "NIX_SSL_CERT_FILE", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
        "CARGO_HTTP_CAINFO", "CODEX_CA_CERTIFICATE",
    ):  # fmt: skip
        assert env[name] == str(make.bundle)
    assert env["NODE_EXTRA_CA_CERTS"] == env["DENO_CERT"] == str(make.pem)
    assert env["NODE_OPTIONS"].startswith("--require ")
    assert Path(env["NODE_OPTIONS"].split()[-1]).is_file()
    assert (Path(env["PYTHONPATH"]) / "sitecustomize.py").is_file()
    assert env["PLAYHEAD_PORT"] == "4321"
    assert env["PLAYHEAD_RUN"] == "0123456789abcdef"
    assert "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=4321" in env["JAVA_TOOL_OPTIONS"]
    assert "-Dhttp.nonProxyHosts=" in env["JAVA_TOOL_OPTIONS"]


def test_what_the_user_had_is_kept_and_ours_is_added(make):
    """NODE_OPTIONS, PYTHONPATH and JAVA_TOOL_OPTIONS keep the user's words; other variables stay; the input does not change."""
    user = {
        "NODE_OPTIONS": "--max-old-space-size=99",
        "PYTHONPATH": "/a::/b",
        "JAVA_TOOL_OPTIONS": "-Xmx9m",
        "LANG": "C",
    }
    before = dict(user)
    env = make(user).variables
    assert env["NODE_OPTIONS"].startswith("--max-old-space-size=99 --require ")
    assert env["PYTHONPATH"].split(":")[1:] == ["/a", "/b"]
    assert env["JAVA_TOOL_OPTIONS"].startswith("-Xmx9m -D")
    assert env["LANG"] == "C"
    assert user == before


def test_what_opens_cassettes_is_not_for_the_child(make):
    """A replay of an encrypted cassette does not hand its key to the agent."""
    given = make({"PLAYHEAD_PASSPHRASE": "correct horse", "PLAYHEAD_IDENTITY": "/keys", "PLAYHEAD_OTHER": "1"})
    assert not [name for name in given.variables if name in ("PLAYHEAD_PASSPHRASE", "PLAYHEAD_IDENTITY")]
    assert given.variables["PLAYHEAD_OTHER"] == "1"


def test_setting_up_twice_adds_the_hooks_once(make):
    """A recorder inside a recorder does not load the hooks twice."""
    once = make().variables
    twice = make(once).variables
    assert twice["NODE_OPTIONS"] == once["NODE_OPTIONS"]
    assert twice["PYTHONPATH"] == once["PYTHONPATH"]


def test_the_users_additional_node_ca_is_joined_with_ours(make, tmp_path):
    """NODE_EXTRA_CA_CERTS takes one file: it holds the user's certificate and ours."""
    theirs = tmp_path / "corporate.pem"
    theirs.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    joined = Path(make({"NODE_EXTRA_CA_CERTS": str(theirs)}).variables["NODE_EXTRA_CA_CERTS"])
    assert joined.read_bytes() == theirs.read_bytes() + make.pem.read_bytes()


def test_trusted_files_names_each_existing_file_once(tmp_path):
    """What the user's variables name becomes part of the bundle; a stale path does not."""
    corporate = tmp_path / "corp.pem"
    corporate.touch()
    user = {
        "SSL_CERT_FILE": str(corporate),
        "CURL_CA_BUNDLE": str(corporate),
        "AWS_CA_BUNDLE": str(tmp_path / "gone.pem"),
    }
    assert trusted_files(user) == [corporate]


@pytest.mark.parametrize(
    ("variable", "value", "upstream", "tail"),
    [
        ("OPENAI_BASE_URL", "http://gpu:8000/v1", "http://gpu:8000", "/p/openai/v1"),
        ("OPENAI_BASE_URL", "https://gateway.example/openai/v1/", "https://gateway.example", "/p/openai/openai/v1/"),
        ("OPENAI_API_BASE", "http://[::1]:8000", "http://[::1]:8000", "/p/openai"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9", "http://127.0.0.1:9", "/p/anthropic"),
        ("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com/", "https://x.openai.azure.com", "/p/azure/"),
        ("OLLAMA_HOST", "localhost", "http://localhost:11434", "/p/ollama"),
        ("OLLAMA_HOST", "0.0.0.0:9999", "http://127.0.0.1:9999", "/p/ollama"),
        ("OLLAMA_HOST", ":9999", "http://127.0.0.1:9999", "/p/ollama"),
        ("OLLAMA_HOST", "http://box/sub", "http://box", "/p/ollama/sub"),
        ("OLLAMA_HOST", "::1", "http://[::1]:11434", "/p/ollama"),
        ("GOOGLE_GEMINI_BASE_URL", "http://g:1/?k=v", "http://g:1", "/p/gemini/?k=v"),
    ],
)
def test_a_set_base_url_goes_through_the_reverse_entrance(make, variable, value, upstream, tail):
    """The path stays in the child's value, the origin goes to the engine, and the user's own value is kept for replay."""
    made = make({variable: value})
    assert made.variables[variable] == f"http://127.0.0.1:4321{tail}"
    assert list(made.upstreams.values()) == [upstream]
    assert made.base_urls == {variable: value}


def test_userinfo_of_a_base_url_stays_with_the_client(make):
    """SDKs turn `user:password@` into an Authorization header; the engine's table must not hold it."""
    made = make({"OPENAI_BASE_URL": "https://me:pw@host/v1"})
    assert made.variables["OPENAI_BASE_URL"] == "http://me:pw@127.0.0.1:4321/p/openai/v1"
    assert made.upstreams == {"openai": "https://host"}


def test_two_origins_for_one_provider_get_two_names(make):
    """OPENAI_BASE_URL and OPENAI_API_BASE may point to different places."""
    made = make({"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_BASE": "http://b/v1", "ANTHROPIC_BASE_URL": "http://a"})
    assert made.upstreams == {"openai": "http://a", "openai-2": "http://b", "anthropic": "http://a"}
    assert made.variables["OPENAI_API_BASE"] == "http://127.0.0.1:4321/p/openai-2/v1"


@pytest.mark.parametrize("value", ["not a url", "unix:///run/x.sock", "http://host:port/"])
def test_a_base_url_that_is_none_is_left_alone(make, value):
    """A value we cannot read stays as it was, for the SDK to complain about."""
    made = make({"OPENAI_BASE_URL": value})
    assert made.variables["OPENAI_BASE_URL"] == value
    assert made.upstreams == {}


def test_auto_sets_no_base_url_of_its_own(make):
    """A set base URL changes what some SDKs send, so none is invented."""
    assert "OPENAI_BASE_URL" not in make().variables
    assert make().upstreams == {}


def test_route_base_url_sets_the_defaults_and_nothing_else(make):
    """`--route base-url`: providers' own addresses behind the reverse entrance, no proxy, no trust, no hooks."""
    made = make({"PATH": "/bin", "OPENAI_BASE_URL": "http://gpu/v1"}, route=RouteChoice.BASE_URL)
    assert made.variables["OPENAI_BASE_URL"] == "http://127.0.0.1:4321/p/openai/v1"
    assert made.upstreams["openai"] == "http://gpu"
    assert made.upstreams["anthropic"] == "https://api.anthropic.com"
    assert made.variables["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:4321/p/gemini"
    assert not {"HTTPS_PROXY", "NODE_OPTIONS", "PYTHONPATH", "SSL_CERT_FILE"} & made.variables.keys()


def test_route_proxy_and_hook_arm_one_way_only(make):
    """The single routes exist to find out which way works: they must not help each other."""
    user = {"OPENAI_BASE_URL": "http://gpu/v1"}
    proxy, hook = make(user, route=RouteChoice.PROXY), make(user, route=RouteChoice.HOOK)
    assert "NODE_OPTIONS" not in proxy.variables
    assert proxy.variables["HTTPS_PROXY"]
    assert "HTTPS_PROXY" not in hook.variables
    assert hook.variables["NODE_OPTIONS"]
    for made in (proxy, hook):
        assert made.variables["SSL_CERT_FILE"] == str(make.bundle)
        assert made.variables["OPENAI_BASE_URL"] == "http://gpu/v1"
        assert made.upstreams == {}


def test_a_replay_sets_the_recorded_base_urls_whatever_the_user_has_now(make):
    """The recorded ones come back in an empty environment; one that was not recorded is taken away."""
    recorded = make({"OPENAI_BASE_URL": "http://gpu/v1"}).base_urls
    made = make({"ANTHROPIC_BASE_URL": "http://new"}, base_urls=recorded)
    assert made.variables["OPENAI_BASE_URL"] == "http://127.0.0.1:4321/p/openai/v1"
    assert "ANTHROPIC_BASE_URL" not in made.variables
    assert made.upstreams == {"openai": "http://gpu"}


def test_key_names_finds_credentials_by_name_and_never_their_values():
    """Key-like names, sorted; files, sockets, empty values and ordinary words are not keys."""
    secrets = {
        "OPENAI_API_KEY": "v", "ANTHROPIC_AUTH_TOKEN": "v", "AWS_ACCESS_KEY_ID": "v", "AWS_SECRET_ACCESS_KEY": "v",
        "HF_TOKEN": "v", "MY_SERVICE_APIKEY": "v", "DB_PASSWORD": "v", "OPENAI_API_KEY_2": "v", "stripe_secret": "v",
    }  # fmt: skip
    others = {
        "PATH": "v", "SSH_AUTH_SOCK": "v", "KEYBOARD": "v", "TOKENIZERS_PARALLELISM": "false", "MONKEY": "v",
        "GOOGLE_APPLICATION_CREDENTIALS": "/f.json", "GROQ_API_KEY": "", "OPENAI_BASE_URL": "v",
    }  # fmt: skip
    assert key_names(secrets | others) == sorted(secrets)


def test_placeholders_fill_only_what_is_absent(make):
    """A replay with an empty environment has dummies for the recorded names; a key the user has is left alone."""
    made = make({"OPENAI_API_KEY": "mine"}, placeholders=["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OTHER_TOKEN"])
    assert made.variables["OPENAI_API_KEY"] == "mine"
    assert made.variables["ANTHROPIC_API_KEY"] == placeholder("ANTHROPIC_API_KEY")
    assert made.variables["OTHER_TOKEN"]
    assert made.placeholders == ("ANTHROPIC_API_KEY", "OTHER_TOKEN")


def test_sdk_constructors_accept_the_placeholders(make):
    """With nothing but placeholders each SDK builds a client."""
    names = [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
    ]
    env = {name: placeholder(name) for name in names} | {"PATH": os.environ["PATH"]}
    program = (
        "import openai, anthropic, boto3; from google import genai\n"
        "openai.OpenAI(); anthropic.Anthropic(); genai.Client(); boto3.client('bedrock-runtime'); print('built')"
    )
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "built\n", done.stderr


def test_node_reads_a_preload_path_with_blanks_and_quotes(make, tmp_path):
    """NODE_OPTIONS divides at blanks: the path arrives as one word."""
    hooks = tmp_path / 'a "b" c'
    (hooks / "node").mkdir(parents=True)
    (hooks / "node" / "preload.cjs").write_text("globalThis.preloaded = true;")
    env = make({"PATH": os.environ["PATH"]}, hooks=hooks).variables
    done = subprocess.run(["node", "-p", "globalThis.preloaded"], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "true\n", done.stderr


def test_without_java_only_the_proxy_options_are_set(make, tmp_path):
    """No JDK on the PATH: no truststore is built."""
    assert "trustStore" not in make({"PATH": str(tmp_path)}).variables["JAVA_TOOL_OPTIONS"]


def test_a_bundle_that_does_not_parse_is_noted(make, tmp_path):
    """A broken bundle costs Java its trust, which is said, and nothing else."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.touch()
    make.bundle.write_text("no certificate here")
    made = make({"PATH": "", "JAVA_HOME": str(tmp_path)})
    assert "trustStore" not in made.variables["JAVA_TOOL_OPTIONS"]
    assert any("Java" in note for note in made.notes)


def test_a_full_disk_keeps_no_half_of_a_truststore(make, monkeypatch):
    """What was written of it goes again."""

    def write_bytes(path, data):
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="No space"):
        java_truststore(make.bundle)
    assert not list(make.bundle.parent.glob("truststore-*"))


def test_java_gets_a_truststore_of_the_bundle_made_once(make, tmp_path):
    """Where Java is found, the options name a PKCS#12 store that holds our CA; a second set-up reuses the file."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.touch()
    user = {"PATH": "", "JAVA_HOME": str(tmp_path)}
    options = dict(o.split("=", 1) for o in make(user).variables["JAVA_TOOL_OPTIONS"].split())
    store = Path(options["-Djavax.net.ssl.trustStore"])
    stamp = store.stat().st_mtime_ns
    held = pkcs12.load_pkcs12(store.read_bytes(), options["-Djavax.net.ssl.trustStorePassword"].encode())
    assert [c.certificate for c in held.additional_certs] == x509.load_pem_x509_certificates(make.pem.read_bytes())
    make(user)
    assert store.stat().st_mtime_ns == stamp


def test_playhead_variables_names_what_a_stripped_child_has_lost(make):
    """The hooks give exactly our variables back to children started with a chosen few."""
    made = make({"OPENAI_BASE_URL": "http://gpu/v1", "HOME": "/h"}).variables
    names = made["PLAYHEAD_VARIABLES"].split(",")
    assert {"HTTPS_PROXY", "NODE_OPTIONS", "OPENAI_BASE_URL", "PLAYHEAD_PORT", *BUNDLE_NAMES} <= set(names)
    assert "HOME" not in names
    assert json.dumps(made)
