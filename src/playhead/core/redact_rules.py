"""The rule pack: what a secret looks like. Data only; `redact_scan` finds, `redact` replaces.

A rule is bound to a literal that must stand at the head of a *run*, an unbroken stretch of at least `RUN` bytes of
`A-Z a-z 0-9 _ - / +`. Every known key shape holds such a run and prose holds few, so one pass over a body that looks
for runs replaces one search per literal (measured: 40 us per literal and 50 KB, against 70 us for all runs together).
Patterns are open at their end and validators never turn from true to false as bytes follow: a secret that arrives in
pieces is recognised from its first piece that suffices, and the rest is swallowed by `Rule.more`.

Shapes are those the issuers document or that their own secret scanners publish (GitHub, GitLab, Stripe, Slack, AWS).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RULE_PACK_VERSION = 1
"""1: first pack. A session names the version that wrote it, and a replay applies the same one to live requests."""

RUN = 20
"""Bytes an unbroken run must have before it is looked at."""

_DIGIT = re.compile(rb"[0-9]")
_CASE_TURN = re.compile(rb"[a-z](?=[A-Z0-9])")
_PLACEHOLDER = re.compile(rb"(?i)your|example|placeholder|changeme|dummy|insert|replace|xxxx|\*\*\*\*|redacted")


@dataclass(frozen=True, slots=True)
class Rule:
    """One shape. `pattern` is matched where a literal of `heads` stands; its group 1, or the whole, is the secret."""

    id: str
    heads: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    more: re.Pattern[bytes]
    valid: Callable[[bytes], bool] | None = None


def looks_random(value: bytes) -> bool:
    """Whether `value` could be a generated key: 8 different bytes, and a digit or six changes of case."""
    return len(set(value)) >= 8 and (_DIGIT.search(value) is not None or len(_CASE_TURN.findall(value)) >= 6)


def is_generated(value: bytes) -> bool:
    """As `looks_random`, and none of the words people write where a key belongs."""
    return looks_random(value) and _PLACEHOLDER.search(value) is None


def is_jwt(value: bytes) -> bool:
    """Whether the first part of `value` decodes to a JOSE header: a JSON object that names `alg` (RFC 7515)."""
    first = value.partition(b".")[0]
    try:
        return b'"alg"' in base64.urlsafe_b64decode(first + b"=" * (-len(first) % 4))
    except (ValueError, binascii.Error):
        return False


_ALNUM, _WORD, _DOTTED = rb"[A-Za-z0-9]", rb"[A-Za-z0-9_\-]", rb"[A-Za-z0-9_.\-]"


def _rule(
    name: str, heads: str, least: int, chars: bytes = _ALNUM, valid: Callable[[bytes], bool] | None = looks_random
) -> Rule:
    """A literal head (several by blanks) and then at least `least` of `chars`."""
    literals = tuple(head.encode() for head in heads.split())
    either = b"|".join(re.escape(head) for head in literals)
    pattern = re.compile(b"(?:" + either + b")" + chars + b"{%d,}" % least)
    return Rule(name, literals, pattern, re.compile(chars + b"*"), valid)


# Order matters where one head begins another: the first rule that matches names the secret.
RULES: tuple[Rule, ...] = (
    _rule("anthropic-key", "sk-ant-", 24, _WORD),
    _rule("openrouter-key", "sk-or-", 24, _WORD),
    _rule("langfuse-key", "sk-lf-", 24, _WORD),
    _rule("openai-key", "sk-proj- sk-svcacct- sk-admin- sk-None-", 16, _WORD),
    _rule("openai-key", "sk-", 20, _WORD),
    _rule("google-key", "AIza", 35, _WORD),
    _rule("google-oauth", "GOCSPX-", 24, _WORD),
    _rule("google-oauth", "ya29.", 24, _WORD),
    _rule("aws-id", "AKIA ASIA", 16, rb"[A-Z0-9]", valid=None),
    _rule("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", 36),
    _rule("github-token", "github_pat_", 36, rb"[A-Za-z0-9_]"),
    _rule("gitlab-token", "glpat- gldt- glrt- glptt- glcbt-", 20, _DOTTED),
    _rule("slack-token", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xapp-", 20, rb"[A-Za-z0-9.\-]"),
    Rule(
        "slack-webhook",
        (b"services/T",),
        re.compile(rb"services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,}"),
        re.compile(rb"[A-Za-z0-9]*"),
    ),
    _rule("huggingface-token", "hf_ api_org_", 30),
    _rule("groq-key", "gsk_", 32),
    _rule("xai-key", "xai-", 40, _WORD),
    _rule("perplexity-key", "pplx-", 32),
    _rule("replicate-token", "r8_", 32),
    _rule("nvidia-key", "nvapi-", 32, _WORD),
    _rule("cerebras-key", "csk-", 32),
    _rule("fireworks-key", "fw_", 20),
    _rule("tavily-key", "tvly-", 20, _WORD),
    _rule("pinecone-key", "pcsk_", 32, _WORD),
    _rule("langsmith-key", "lsv2_", 32, rb"[A-Za-z0-9_]"),
    _rule("e2b-key", "e2b_", 32),
    _rule("stripe-key", "sk_live_ rk_live_ sk_test_ rk_test_ whsec_", 16),
    _rule("sendgrid-key", "SG.", 22, _DOTTED),
    _rule("npm-token", "npm_", 36),
    _rule("pypi-token", "pypi-", 32, _WORD),
    _rule("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", 32),
    _rule("shopify-token", "shpat_ shpss_ shpca_ shppa_", 32),
    _rule("databricks-token", "dapi", 32, rb"[0-9a-f\-]"),
    _rule("docker-token", "dckr_pat_", 20, _WORD),
    _rule("linear-key", "lin_api_", 32),
    _rule("notion-token", "ntn_", 40),
    _rule("grafana-token", "glsa_ glc_", 32, rb"[A-Za-z0-9_]"),
    _rule("vault-token", "hvs.", 24, _WORD),
    _rule("age-key", "AGE-SECRET-KEY-1", 40, rb"[A-Z0-9]"),
    Rule(
        "jwt", (b"eyJ",), re.compile(rb"eyJ[A-Za-z0-9_\-]{12,}\.[A-Za-z0-9_.\-]*"), re.compile(_DOTTED + b"*"), is_jwt
    ),
)

_VALUE = rb"[A-Za-z0-9+/_.~\-]"
_MORE_VALUE = re.compile(rb"[A-Za-z0-9+/_.~=\-]*")

NAMES_AHEAD: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (
        name,
        re.compile(rb"(?i)(?:" + words + rb")[\"'\\ \t]*(?:=>|:=|[:=]|%3D|%3A)[\"'\\ \t]*\Z"),
    )
    for name, words in (
        ("aws-secret", rb"(?:aws[_-]?)?secret[_-]?access[_-]?key|aws[_-]?session[_-]?token|x-amz-security-token"),
        ("azure-key", rb"accountkey|sharedaccess(?:key|signature)|ocp-apim-subscription-key"),
        ("signature", rb"x-amz-signature|x-goog-signature|[?&]sig"),
        (
            "credential",
            (
                rb"(?:api|access|secret|private|client|auth|account|master|service|signing|encryption|webhook|subscription)"
                rb"[_\- ]?(?:api[_\- ]?)?(?:key|token|secret)"
                rb"|(?:bot|deploy|refresh|session|bearer|oauth|id|personal[_-]access|csrf|xsrf)[_\-]?token"
                rb"|(?<![a-z_\-])token|(?<![a-z])(?:secret|apikey|password|passwd|passphrase|pwd|credentials?|authorization|connection[_-]?string)"
            ),
        ),
    )
)
"""Names that make the run behind them a secret: matched against the bytes that end where the run begins."""

NAMED_VALUE = re.compile(_VALUE + rb"{%d,}={0,2}" % RUN)
MORE_NAMED_VALUE = _MORE_VALUE
NAMES_END = (
    b"key",
    b"token",
    b"ecret",
    b"word",
    b"sswd",
    b"pwd",
    b"ntial",
    b"tials",
    b"tring",
    b"ature",
    b"sig",
    b"rase",
    b"ation",
)
"""How those names end: asked first."""
BASIC_AHEAD = re.compile(rb"(?i)authorization[\"'\\]*\s*[:=][\"'\\\s]*basic +\Z")
BEARER_AHEAD = re.compile(rb"(?i)\bbearer(?: +|%20|\+)\Z")
TELEGRAM_AHEAD = re.compile(rb"(?<![0-9])[0-9]{8,10}:\Z")
TELEGRAM_VALUE = re.compile(rb"AA[A-Za-z0-9_\-]{32,}")

_PEM_INSIDE = rb"(?:[A-Za-z0-9+/=:,. \t\r\n]|\\+(?:[nr]|\Z)|-(?!-))*"
_PEM_END = rb"(?:-{1,5}(?:E(?:N(?:D[A-Z0-9 ]*(?:-{1,5})?)?)?)?)?"
PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----" + _PEM_INSIDE + _PEM_END)
PEM_LABEL = re.compile(rb"-----BEGIN [A-Z0-9 ]*")
PEM_MORE = re.compile(rb"(?:[A-Za-z0-9+/=:,. \t\r\n\-]|\\+(?=[nr]|\Z))*")
PEM_CLOSED = re.compile(rb"-----END [A-Z0-9 ]*-----")

PASSWORD = re.compile(
    rb"(?i)passw(?:or)?d(?:[\"'\\]*[ \t]*(?:=>|:=|[:=])[ \t]*)(?:(\\*[\"'])([^\"'\\\s<>${}]{6,128})(?=[\"'\\])|()([^\"'\\\s<>${}&,;()\[\]]{6,128})(?=[\"'\\\s&,;]|\Z))"
)
"""A short password behind its name: group 1 opens the quotes (2 is the value), or the value stands bare (4)."""
PASSWORD_OPEN = re.compile(
    rb"(?i)passw(?:or)?d(?:[\"'\\]*[ \t]*(?:=>|:=|[:=])[ \t]*)\\*[\"']?([^\"'\\\s<>${}]{0,128})\Z"
)
NO_PASSWORDS = frozenset(
    b"string password passwd required optional secret hidden masked integer boolean undefined default unknown".split()
)

URL_PASSWORD = re.compile(rb"://[^\s/:@\"'<>\\]*:([^\s/@\"'<>\\]{3,200})@")
URL_OPEN = re.compile(rb"://[^\s/:@\"'<>\\]*:([^\s/@\"'<>\\]{0,200})\Z")

TOKEN = re.compile(rb"<(?=redacted:)redacted:([a-z0-9\-]{2,40}):([0-9]{1,6})\.*>\**")
"""A token this pack wrote, as written in a request or stretched to its secret's length in an answer."""

CREDENTIAL_HEADERS = (
    b"authorization proxy-authorization x-api-key api-key x-goog-api-key cookie set-cookie x-amz-security-token"
    b" x-amz-signature openai-organization openai-project anthropic-organization-id x-auth-token x-access-token"
    b" x-csrf-token x-xsrf-token x-goog-iam-authorization-token x-serverless-authorization ocp-apim-subscription-key"
    b" x-gitlab-token private-token x-vault-token x-functions-key cf-access-client-secret cf-access-jwt-assertion"
    b" x-subscription-token x-portkey-api-key x-litellm-api-key helicone-auth"
).split()

CREDENTIAL_QUERY = re.compile(
    rb"(?i)([?&](?:key|api[_-]?key|apikey|access[_-]?token|refresh[_-]?token|id[_-]?token|token|auth|auth[_-]?token|sig"
    rb"|signature|client[_-]?secret|password|subscription-key"
    rb"|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|x-goog-credential)=)([^&#\s\"'<>]+)"
)

_KEY_WORDS = frozenset(
    [
        "KEY",
        "KEYS",
        "APIKEY",
        "TOKEN",
        "TOKENS",
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "CREDENTIAL",
        "CREDENTIALS",
        "PAT",
        "BEARER",
        "COOKIE",
        "AUTHTOKEN",
    ]
)
_NOT_KEYS = frozenset(
    [
        "PATH",
        "FILE",
        "DIR",
        "SOCK",
        "PARALLELISM",
        "LIMIT",
        "COUNT",
        "URL",
        "URI",
        "HOST",
        "PORT",
        "TTL",
        "BUDGET",
        "NAME",
    ]
)


def is_key_name(name: str) -> bool:
    """Whether an environment variable of this name holds a credential: `OPENAI_API_KEY`, `GH_TOKEN`, `PGPASSWORD`."""
    upper = name.upper()
    words = upper.replace("-", "_").split("_")
    if words[-1] in _NOT_KEYS:
        return False
    return (
        not _KEY_WORDS.isdisjoint(words) or upper.endswith(("PASSWORD", "APIKEY", "SECRET")) or upper == "DATABASE_URL"
    )
