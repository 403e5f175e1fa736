"""The rule pack: what a secret looks like. Data only; `redact_scan` finds, `redact` replaces.

A rule is bound to a literal that must stand at the head of a *run*, an unbroken stretch of at least `RUN` bytes of
`A-Z a-z 0-9 _ - / +`. Every known key shape holds such a run and prose holds few, so one pass over a body that looks
for runs replaces one search per literal (measured: 40 us per literal and 50 KB, against 70 us for all runs together).
Patterns are open at their end and validators never turn from true to false as bytes follow: a secret that arrives in
pieces is recognised from its first piece that suffices, and the rest is swallowed by `Rule.more`.

Shapes are those the issuers document or that their own secret scanners publish (GitHub, GitLab, Stripe, Slack, AWS).
Checksums that some issuers put into their keys (GitHub's last six characters are a CRC) dismiss nothing: a key with a
mistyped letter is still all but the key.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.late import late

if TYPE_CHECKING:
    from collections.abc import Callable

RULE_PACK_VERSION = 2
"""2: content codings, escapes, base64, split deltas, frames. A session names the version that wrote it, and a replay
applies the same one to live requests."""

RUN = 20
"""Bytes an unbroken run must have before it is looked at."""

_DIGIT = late(rb"[0-9]")
_CAPITAL, _SMALL = late(rb"[A-Z]"), late(rb"[a-z]")
CASE_TURN = late(rb"[a-z](?=[A-Z0-9])")
DRAWN = late(rb"[0-9]|(?<=[0-9])[A-Za-z]|[A-Z](?=[A-Z])")
_STRETCH = late(rb"[A-Za-z0-9]{20,}")
_PLACEHOLDER = late(
    rb"your|Your|YOUR|(?i:example|placeholder|changeme|dummy|insert|replace|\Axxxx|xxxx\Z|x{6}|\*\*\*\*|redacted)"
)
"""What people write where a key belongs; four letters in any case come up in one drawn key of thirty thousand."""


@cache
def _any_of(chars: bytes) -> re.Pattern[bytes]:
    return late(chars + b"*")


@dataclass(frozen=True, slots=True)
class Rule:
    """One shape. `pattern` is matched where a literal of `heads` stands; its group 1, or the whole, is the secret."""

    id: str
    heads: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    more: re.Pattern[bytes]
    valid: Callable[[bytes], bool] | None = None


def looks_random(value: bytes) -> bool:
    """Whether `value` could be a generated key: 8 different bytes, and a digit or `_is_cased`."""
    return len(set(value)) >= 8 and (_DIGIT.search(value) is not None or _is_cased(value))


def _is_cased(value: bytes) -> bool:
    """Whether letters change their case as no `camelCaseWords` do: six times, or four times among eight capitals."""
    turns = len(CASE_TURN.findall(value))
    return turns >= 6 or (turns >= 4 and len(_CAPITAL.findall(value)) >= 8)


def is_generated(value: bytes) -> bool:
    """As `looks_random`, and none of the words people write where a key belongs."""
    return looks_random(value) and _PLACEHOLDER.search(value) is None


def is_varied(value: bytes) -> bool:
    """As `looks_random` behind a head that nothing else has: 8 different bytes, and a digit, two changes of case or five
    letters of either case."""
    return len(set(value)) >= 8 and (
        _DIGIT.search(value) is not None
        or len(CASE_TURN.findall(value)) >= 2
        or (len(_CAPITAL.findall(value)) >= 5 and len(_SMALL.findall(value)) >= 5)
    )


def is_mixed(value: bytes) -> bool:
    """As `looks_random`, with small and capital letters and digits: for heads that words in a path begin with, too."""
    return looks_random(value) and None not in (re.search(kind, value) for kind in (rb"[0-9]", rb"[a-z]", rb"[A-Z]"))


def is_drawn(value: bytes) -> bool:
    """As `is_varied`, and no `camelCaseWords`: two of digits, digits before letters, and capitals before capitals; or
    eight changes of case."""
    return is_varied(value) and (len(DRAWN.findall(value)) >= 2 or len(CASE_TURN.findall(value)) >= 8)


def _is_hugging_face(value: bytes) -> bool:
    """As `is_drawn`, or as long as these keys are, with five capitals or digits: they are letters, most often."""
    key = value.rpartition(b"_")[2]
    is_long_as_such = len(key) == 34 and len(_CAPITAL.findall(key)) + len(_DIGIT.findall(key)) >= 5
    return is_drawn(value) or (is_long_as_such and is_varied(value))


def _is_notion(value: bytes) -> bool:
    """As `is_mixed` with two digits, or as long as these keys are and drawn thrice: one in two hundred has no two digits."""
    key = value.partition(b"_")[2]
    is_long_as_such = len(key) == 43 and len(DRAWN.findall(key)) >= 3
    return (is_mixed(value) and len(_DIGIT.findall(value)) > 1) or (is_long_as_such and is_varied(value))


def _is_modal(value: bytes) -> bool:
    """As `is_drawn`, or as long as these keys are, with more turns than words of four letters have."""
    key = value.partition(b"-")[2]
    is_long_as_such = len(key) == 22 and len(DRAWN.findall(key)) + len(CASE_TURN.findall(key)) >= 7
    return is_drawn(value) or (is_long_as_such and is_varied(value))


def is_no_slug(value: bytes) -> bool:
    """As `looks_random`, and no `words-with-2-dashes`: three kinds of letters, `_is_cased`, or twenty letters and digits in
    a row."""
    return looks_random(value) and (
        is_mixed(value)
        or _is_cased(value)
        or any(len(_DIGIT.findall(stretch)) >= 3 for stretch in _STRETCH.findall(value))
    )


def is_jwt(value: bytes) -> bool:
    """Whether the first part of `value` decodes to a JOSE header: a JSON object that names `alg` (RFC 7515)."""
    first = value.partition(b".")[0]
    try:
        return b'"alg"' in base64.urlsafe_b64decode(first + b"=" * (-len(first) % 4))
    except (ValueError, binascii.Error):
        return False


_ALNUM, _WORD, _DOTTED = rb"[A-Za-z0-9]", rb"[A-Za-z0-9_\-]", rb"[A-Za-z0-9_.\-]"


def _rule(
    name: str, heads: str, least: int, chars: bytes = _ALNUM, valid: Callable[[bytes], bool] | None = is_varied
) -> Rule:
    """A literal head (several by blanks) and then at least `least` of `chars`."""
    literals = tuple(head.encode() for head in heads.split())
    either = b"|".join(re.escape(head) for head in literals)
    return Rule(name, literals, late(b"(?:" + either + b")" + chars + b"{%d,}" % least), _any_of(chars), valid)


# Order matters where one head begins another: the first rule that matches names the secret.
RULES: tuple[Rule, ...] = (
    _rule("anthropic-key", "sk-ant-", 24, _WORD),
    _rule("openrouter-key", "sk-or-", 24, _WORD),
    _rule("langfuse-key", "sk-lf-", 24, _WORD),
    _rule("openai-key", "sk-proj- sk-svcacct- sk-admin- sk-None-", 16, _WORD),
    _rule("openai-key", "sk-", 20, _WORD, is_no_slug),
    _rule("google-key", "AIza", 35, _WORD),
    _rule("google-oauth", "GOCSPX-", 24, _WORD),
    _rule("google-oauth", "ya29.", 24, _WORD),
    _rule("google-oauth", "1//0", 40, _WORD, is_mixed),
    Rule("google-key", (b"AQ.",), late(rb"AQ\.Ab[A-Za-z0-9_\-]{36,}"), _any_of(_WORD), is_varied),
    _rule("aws-id", "AKIA ASIA", 16, rb"[A-Z0-9]", valid=None),
    _rule("bedrock-key", "bedrock-api-key-", 40, rb"[A-Za-z0-9+/=]"),
    _rule("bedrock-key", "ABSK", 100, rb"[A-Za-z0-9+/=]", is_mixed),
    _rule("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", 36),
    _rule("github-token", "github_pat_", 36, rb"[A-Za-z0-9_]"),
    _rule(
        "gitlab-token",
        "glpat- gldt- glrt- glptt- glcbt- glft- glsoat- glffct- glimt- gloas- glagent- GR1348941",
        20,
        _DOTTED,
    ),
    _rule("slack-token", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xapp-", 20, rb"[A-Za-z0-9.\-]"),
    _rule("slack-token", "xoxd-", 20, rb"[A-Za-z0-9%+/=\-]"),
    Rule(
        "slack-webhook",
        (b"services/T", b"workflows/T", b"triggers/T"),
        late(rb"(?:services|workflows|triggers)/T[A-Z0-9]{6,}/(?:[A-Z0-9]{6,}/){1,2}[A-Za-z0-9]{16,}"),
        late(rb"[A-Za-z0-9]*"),
    ),
    _rule("teams-webhook", "IncomingWebhook/", 32, rb"[0-9a-f/\-]"),
    Rule(
        "discord-webhook",
        (b"webhooks/",),
        late(rb"webhooks/[0-9]{17,20}/[A-Za-z0-9_\-]{40,}"),
        late(rb"[A-Za-z0-9_\-]*"),
    ),
    _rule("huggingface-token", "hf_ api_org_", 30, valid=_is_hugging_face),
    _rule("groq-key", "gsk_", 32),
    _rule("xai-key", "xai-", 40, _WORD, is_no_slug),
    _rule("perplexity-key", "pplx-", 32),
    _rule("replicate-token", "r8_", 32),
    _rule("nvidia-key", "nvapi-", 32, _WORD),
    _rule("cerebras-key", "csk-", 32),
    _rule("fireworks-key", "fw_", 20, valid=is_drawn),
    _rule("tavily-key", "tvly-", 20, _WORD, is_no_slug),
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
    _rule("docker-token", "dckr_pat_ dckr_oat_", 20, _WORD),
    _rule("linear-key", "lin_api_ lin_oauth_", 32),
    _rule("notion-token", "ntn_", 40),
    _rule("notion-token", "secret_", 43, valid=_is_notion),
    _rule("grafana-token", "glsa_", 32, rb"[A-Za-z0-9_]"),
    _rule("grafana-token", "glc_", 32, rb"[A-Za-z0-9_+/=]"),
    _rule("vault-token", "hvs. hvb. hvr.", 24, _WORD),
    _rule("elevenlabs-key", "sk_", 40, rb"[0-9a-f]"),
    _rule("jina-key", "jina_", 40, _WORD, is_no_slug),
    _rule("voyage-key", "pa-", 40, _WORD, is_mixed),
    _rule("anyscale-key", "esecret_", 24),
    _rule("helicone-key", "sk-helicone-", 20, _WORD),
    _rule("openai-session", "sess-", 40),
    _rule("supabase-key", "sbp_ sb_secret_", 24, _WORD),
    _rule("vercel-token", "vcp_ vck_", 24),
    _rule("netlify-token", "nfp_", 32),
    _rule("render-key", "rnd_", 28),
    _rule("fly-token", "fm2_ fo1_", 32, rb"[A-Za-z0-9_+/=\-]"),
    _rule("neon-key", "napi_", 32),
    _rule("planetscale-token", "pscale_tkn_ pscale_pw_ pscale_oauth_", 32, _DOTTED),
    _rule("twilio-key", "SK", 32, rb"[0-9a-f]"),
    _rule("mailgun-key", "key-", 32, rb"[0-9a-f]"),
    _rule("square-token", "sq0atp- sq0csp- EAAAE EAAAl", 22, _WORD),
    _rule("atlassian-token", "ATATT3 ATCTT3", 40, rb"[A-Za-z0-9_\-=]"),
    _rule("atlassian-token", "ATBB", 32, valid=is_mixed),
    _rule("dropbox-token", "sl.", 60, _WORD, is_mixed),
    _rule("doppler-token", "dp.pt. dp.st. dp.ct. dp.sa.", 32, _DOTTED),
    _rule("dynatrace-token", "dt0c01. dt0s01.", 24, rb"[A-Z0-9.]"),
    _rule("terraform-token", "atlasv1.", 40, _WORD),
    _rule("figma-token", "figd_", 32, _WORD),
    _rule("postman-key", "PMAK-", 24, rb"[0-9a-f\-]"),
    _rule("newrelic-key", "NRAK- NRII- NRJS-", 19),
    _rule("sentry-token", "sntrys_ sntryu_", 40, rb"[A-Za-z0-9_+/=]"),
    _rule("pulumi-token", "pul-", 40, rb"[0-9a-f]"),
    _rule("prefect-key", "pnu_ pnb_", 32),
    _rule("sourcegraph-token", "sgp_", 40, rb"[A-Za-z0-9_]"),
    _rule("buildkite-token", "bkua_ bkct_", 40),
    _rule("circleci-token", "CCIPAT_", 24, rb"[A-Za-z0-9_]"),
    _rule("rubygems-key", "rubygems_", 40, rb"[0-9a-f]"),
    _rule("cargo-token", "cio", 32, valid=is_mixed),
    _rule("contentful-token", "CFPAT-", 40, _WORD),
    _rule("adafruit-key", "aio_", 24),
    _rule("typeform-token", "tfp_", 40, _DOTTED),
    Rule("mapbox-token", (b"sk.",), late(rb"sk\.eyJ[A-Za-z0-9_\-]{37,}"), late(_DOTTED + b"*"), looks_random),
    _rule("onepassword-token", "ops_eyJ", 60, rb"[A-Za-z0-9+/=_\-]"),
    _rule("alibaba-id", "LTAI", 16),
    _rule("wandb-key", "wandb_v1_", 32, _WORD),
    Rule(
        "discord-token",
        tuple(a + b for a in (b"M", b"N", b"O") for b in (b"D", b"T", b"j", b"z")),
        late(rb"[MNO][DTjz][A-Za-z0-9_\-]{20,26}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,}"),
        late(_WORD + b"*"),
        looks_random,
    ),
    _rule("together-key", "tgp_v1_", 40, _WORD),
    _rule("firecrawl-key", "fc-", 32, rb"[0-9a-f]"),
    _rule("hubspot-token", "pat-na1- pat-na2- pat-eu1- pat-ap1-", 36, rb"[0-9a-f\-]"),
    _rule("heroku-key", "HRKU-", 32, _WORD),
    Rule("cloudflare-key", (b"v1.",), late(rb"v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}"), _any_of(rb"[0-9a-f]"), looks_random),
    _rule("facebook-token", "EAA", 90, valid=is_mixed),
    _rule("jfrog-key", "AKCp", 60, valid=is_mixed),
    _rule("browserbase-key", "bb_live_", 20, _WORD),
    _rule("apify-token", "apify_api_", 32),
    Rule("resend-key", (b"re_",), late(rb"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24,}"), _any_of(_ALNUM), is_mixed),
    _rule("posthog-key", "phx_", 40),
    _rule("modal-token", "as- ak-", 22, valid=_is_modal),
    _rule("nuget-key", "oy2", 43, rb"[a-z0-9]", looks_random),
    _rule("runpod-key", "rpa_", 40),
    _rule("llamacloud-key", "llx-", 40),
    _rule("tailscale-key", "tskey-", 24, rb"[A-Za-z0-9\-]"),
    _rule("brevo-key", "xkeysib-", 64, rb"[A-Za-z0-9\-]"),
    _rule("easypost-key", "EZAK EZTK", 54),
    _rule("shippo-key", "shippo_live_ shippo_test_", 40, rb"[0-9a-f]"),
    _rule("age-key", "AGE-SECRET-KEY-1", 40, rb"[A-Z0-9]"),
    Rule("jwt", (b"eyJ",), late(rb"eyJ[A-Za-z0-9_\-]{12,}\.[A-Za-z0-9_.\-]*"), late(_DOTTED + b"*"), is_jwt),
)


class Marked(NamedTuple):
    """A run of one length that is a key by what stands in its midst or right before it."""

    id: str
    run: re.Pattern[bytes]
    ahead: re.Pattern[bytes] | None = None
    sign: bytes = b""  # with which `ahead` ends: asked first


_HEX32, _HEX64 = late(rb"[0-9a-f]{32}"), late(rb"[0-9a-f]{64}")
_MAILCHIMP = Marked("mailchimp-key", late(rb"[0-9a-f]{32}-us[0-9]{1,2}"))
MARKED: dict[int, tuple[Marked, ...]] = {
    32: (
        Marked("asana-token", _HEX32, late(rb"[12]/[0-9]{8,20}(?:/[0-9]{8,20})?:\Z"), b":"),
        Marked("paypal-token", _HEX32, late(rb"access_token\$[a-z]+\$[a-z0-9]{16}\$\Z"), b"$"),
    ),
    36: (_MAILCHIMP,),
    37: (_MAILCHIMP,),
    64: (Marked("airtable-token", _HEX64, late(rb"pat[A-Za-z0-9]{14}\.\Z"), b"."),),
    52: (Marked("azure-key", late(rb"[A-Za-z0-9]{42}AzSe[A-D][A-Za-z0-9]{5}")),),
    84: (
        Marked("azure-key", late(rb"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}")),
        Marked("azure-key", late(rb"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}")),
    ),
}
"""By length. Microsoft signs the keys of its services with such letters; the others are documented by their issuers."""


def by_mark(data: bytes, at: int, end: int) -> tuple[int, int, str] | None:
    """(start, end, rule) of the key that the run `data[at:end]` is, or ends, if a rule of its length says so."""
    for mark in MARKED[end - at]:
        if data.endswith(mark.sign, 0, at) and mark.run.fullmatch(data, at, end) is not None:
            if mark.ahead is None:
                return at, end, mark.id
            ahead = mark.ahead.search(data, max(0, at - 64), at)
            if ahead is not None:
                return ahead.start(), end, mark.id
    return None


_PARTED_BEGUN = late(
    rb"(?:[MNO][DTjz][A-Za-z0-9_\-]{20,26}\.(?:[A-Za-z0-9_\-]{0,6}|[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{0,26})"
    rb"|pat[A-Za-z0-9]{14}\.[0-9a-f]{0,63})\Z"
)
"""Keys whose first part says little, cut behind a point: Discord's and Airtable's."""
_LONGEST_PARTED = 94


def parted_begun(data: bytes) -> int:
    """Where such a key begins that the end of `data` cuts; -1 when none does."""
    begun = _PARTED_BEGUN.search(data, max(0, len(data) - _LONGEST_PARTED))
    return -1 if begun is None else begun.start()


TOKEN = late(rb"<(?=redacted:|~)(?:redacted:([a-z0-9\-]{2,40}):([0-9]{1,6})\.*>\**|~([a-z]{2})([0-9]{1,3})~*>)")
"""A token this pack wrote: as written in a request, stretched to its secret's length in an answer, or in few letters where
that is too short for it. See `token_parts`."""

FEW_LETTERS = {
    "password": "pw",
    "url-password": "up",
    "credential": "cr",
    "basic-auth": "ba",
    "bearer-token": "bt",
    "cookie": "ck",
    "env": "ev",
    "argument": "ar",
    "aws-secret": "as",
    "azure-key": "az",
    "signature": "sg",
    "email": "em",
    "phone": "ph",
    "card": "cc",
    "national-id": "ni",
    "iban": "ib",
    "personal": "pd",
}
"""Rules whose secrets may be shorter than their token, by the two letters that name them in `<~pw1~~~>`."""
_BY_LETTERS = {letters: name for name, letters in FEW_LETTERS.items()}


def token_parts(token: re.Match[bytes]) -> tuple[str, int]:
    """The rule and the number of a match of TOKEN; "secret" when the letters name no rule."""
    if token[1] is not None:
        return token[1].decode(), int(token[2])
    return _BY_LETTERS.get(token[3].decode(), "secret"), int(token[4])
