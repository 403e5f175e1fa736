"""What makes the value beside it a secret: names, headers, keys of URLs, the lines of private keys. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playhead.core.late import late

if TYPE_CHECKING:
    import re

_VALUE = rb"[A-Za-z0-9+/_.~\-]"
_BETWEEN = rb"[\"'`*\\ \t+]*\]?[ \t]*(?:=>|:=|[:=]|%3[ADad])[\"'`*\\ \t+]*"
_WORDS = (
    rb"(?:api|access|secret|private|client|auth|account|master|service|signing|encryption|webhook|subscription)"
    rb"[_\- ]?(?:api[_\- ]?)?(?:key|token|secret)(?:[_\-]base)?"
    rb"|(?:bot|deploy|refresh|session|bearer|oauth|id|personal[_-]access|csrf|xsrf|device|user)[_\-]?token"
    rb"|(?:(?<![a-z_\-])|(?<=\\[nt]))token|(?<![a-z])(?:secret|apikey|password|passwd|passphrase|pwd|credentials?|authorization|connection[_-]?string)"
    rb"|(?<![a-z0-9])x-(?!(?:continuation|next|page|pagination|sync|idempotency)-)(?:[a-z0-9]{1,16}-){1,3}(?:token|secret)"
    rb"|code[_-]?verifier|client[_-]?assertion|device[_-]?code|secret[_-]?string"
)
_VARIABLE = (
    rb"(?<![A-Z0-9_])(?!(?:[A-Z0-9]+_)*(?:IDEMPOTENCY|CACHE|SORT|PARTITION|PRIMARY|FOREIGN|PUBLIC|PUBLISHABLE|SITE|NEXT"
    rb"|PAGE|SYNC|SHARD|HASH|INDEX|ROUTING|CONTINUATION)_)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_"
    rb"(?:KEY|TOKEN|SECRET|PASS|PASSWORD|PWD|PAT)"
)
"""Of an environment: capital letters only, and none of the keys that are none."""
_NAME = rb"(?:(?i:" + _WORDS + rb")|" + _VARIABLE + rb")"

NAMES_AHEAD: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    *(
        (name, late(rb"(?i)(?:" + words + rb")(?:" + _BETWEEN + rb"|>[ \t]*)\Z"))
        for name, words in (
            ("aws-secret", rb"(?:aws[_-]?)?secret[_-]?access[_-]?key|aws[_-]?session[_-]?token|x-amz-security-token"),
            ("azure-key", rb"accountkey|sharedaccess(?:key|signature)|ocp-apim-subscription-key"),
            ("signature", rb"x-amz-signature|x-goog-signature|[?&]sig"),
            ("credential", _WORDS),
        )
    ),
    ("credential", late(_VARIABLE + rb"(?:" + _BETWEEN + rb")\Z")),
    ("credential", late(rb"(?i)wandb login +\Z")),
    # A flag and its value in a command line, also as a JSON list of arguments.
    (
        "credential",
        late(
            rb"(?i)(?:(?<![a-z0-9_])|(?<=\\n))-(?:[a-z0-9]{1,16}-){0,2}(?:key|token|secret|password|passphrase)(?: +[\"'\\]*|\\*[\"'], *\\*[\"'])\Z"
        ),
    ),
    ("signature", late(rb"(?<![A-Za-z])Signature=\Z")),  # of AWS Signature Version 4, in text
    # The name and the value of a pair: HAR, the environment of a container, attributes of XML.
    (
        "credential",
        late(
            _NAME + rb"(?:\\*[\"'] ?,?|(?=\s|\\[nrt]))(?:[\s\"'\\]|(?<=\\)[nrt]){0,64}[Vv]alue[\"'\\]* ?[:=][\"'\\ ]*\Z"
        ),
    ),
)
"""Names that make the run behind them a secret: matched against the bytes that end where the run begins."""

BESIDE = late(
    _NAME + rb"(?:[\"'\\]+ *, *[\"'\\]+| *\| *[`*]*| is:? +[\"'`\\]*)\Z"
    rb"|(?:ENV|ARG|setx|set -[A-Za-z]{1,3}|setenv) +" + _VARIABLE + rb" +[\"'\\]*\Z"
)
"""Names that stand beside the value and not before it: an argument before the next, a column, a sentence, a word of a
command. What follows them has to look drawn, for lists of names have such neighbours, too."""
_LINE_END = rb"(?:\r?\n|(?:\\+r)?\\+n)"
FIELD_AHEAD = late(
    rb"form-data; *name=\\*\"?[A-Za-z0-9_\-.\[]*?" + _NAME + rb"[\\\"\]]*[^\r\n\\]*"
    rb"(?:" + _LINE_END + rb"[A-Za-z\-]+:[^\r\n\\]*)*" + _LINE_END + _LINE_END + rb"\Z"
)
"""The head of a field of `multipart/form-data` (RFC 7578)."""

NAMED_VALUE = late(_VALUE + rb"{20,}={0,2}")
MORE_NAMED_VALUE = late(rb"[A-Za-z0-9+/_.~=\-]*")
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
    b"ifier",
    b"rtion",
    b"code",
    b"pass",
    b"_pat",
    b"login",
    b"_base",
    b"value",
)
"""How those names end: asked first."""
FLAGS_END = b"yntde"
"""How flags with a value end, and what follows a flag in a list of arguments."""
SCHEME_AHEAD = late(rb"(?i)authorization[\"'\\]*\s*[:=][\"'\\\s]*[a-z][a-z\-]{1,20} +\Z")
"""A scheme of HTTP authentication in text: `Token`, `SSWS`, `Key`, `Bot`, `ApiKey`, ..."""
BASIC_AHEAD = late(rb"(?i)authorization[\"'\\]*\s*[:=][\"'\\\s]*basic +\Z")
BEARER_AHEAD = late(rb"(?i)bearer(?: +|%20|\+)\Z")
TELEGRAM_AHEAD = late(rb"(?<![0-9])[0-9]{8,10}:\Z")
TELEGRAM_VALUE = late(rb"AA[A-Za-z0-9_\-]{32,}")

_PEM_INSIDE = rb"(?:[A-Za-z0-9+/=:,. \t\r\n]|\\+(?:[nr]|u000[adAD]|\Z)|%(?:25)*(?:0[AaDd]|2[BFbf]|3[Dd])|-(?!-))*"
_PEM_END = rb"(?:-{1,5}(?:E(?:N(?:D[A-Z0-9 +]*(?:-{1,5})?)?)?)?)?"
PEM = late(rb"-----BEGIN[ +][A-Z0-9 +]*PRIVATE[ +]KEY(?:[ +]BLOCK)?-----" + _PEM_INSIDE + _PEM_END)
PEM_LABEL = late(rb"-----BEGIN[ +][A-Z0-9 +]*")
PEM_MORE = late(
    rb"(?:[A-Za-z0-9+/=:,. \t\r\n\-]|\\+(?=[nr]|u000[adAD]|(?:u0{0,3})?\Z)|%(?:25)*(?:0[AaDd]|2[BFbf]|3[Dd]|[023]?\Z))*"
)
PEM_CLOSED = late(rb"-----END[ +][A-Z0-9 +]*-----")

CREDENTIAL_HEADERS = (
    b"authorization proxy-authorization x-api-key api-key x-goog-api-key cookie set-cookie x-amz-security-token"
    b" x-amz-signature openai-organization openai-project anthropic-organization-id x-auth-token x-access-token"
    b" x-csrf-token x-xsrf-token x-goog-iam-authorization-token x-serverless-authorization ocp-apim-subscription-key"
    b" x-gitlab-token private-token x-vault-token x-functions-key cf-access-client-secret cf-access-jwt-assertion"
    b" x-subscription-token x-portkey-api-key x-litellm-api-key helicone-auth"
).split()

CREDENTIAL_HEADER = late(
    rb"(?i)(?:.*[-_])?(?:api[-_]?key|access[-_]?key|secret|secret[-_]?key|passw(?:or)?d|passphrase|credentials?|auth|authorization"
    rb"|token|jwt|signature|cookie|session-?id|auth-?key|subscription-?key|bearer|dpop|authentication"
    rb"|(?:rapidapi|mashape|appwrite|clickhouse|fastly|app|application|master|admin|license|private|service|client|customer"
    rb"|encryption)[-_]?key|honeycomb-team)"
)
"""Other headers whose name says that their value is a credential, matched against the whole name."""

CREDENTIAL_QUERY = late(
    rb"(?i)([?&;](?:key|api[_-]?key|apikey|access[_-]?key|access[_-]?token|refresh[_-]?token|id[_-]?token|session[_-]?token"
    rb"|token|auth|auth[_-]?token|sig|signature|hmac|jwt|secret|secret[_-]?key|client[_-]?secret|client[_-]?assertion"
    rb"|assertion|code[_-]?verifier|password|passwd|pwd|passphrase|subscription-key"
    rb"|awsaccesskeyid|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|x-goog-credential"
    rb"|x-api-key|x-access-token|(?:private|api|secret|personal[_-]?access)[_-]?token|subscription_key|hapikey|bearer|passcode"
    rb"|id_token_hint|samlresponse|(?:appid|(?:app|application|user|license|client|service|account|admin|master)[_-]?key)"
    rb"(?==[A-Za-z0-9_\-]{16})|pass(?!=[0-9]{0,3}(?:[^0-9a-z]|\Z)))=)([^&#\s\"'<>]+)"
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
        "PWD",
        "CREDENTIAL",
        "CREDENTIALS",
        "PAT",
        "BEARER",
        "COOKIE",
        "AUTHTOKEN",
        "AUTH",
        "DSN",
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
        "METHOD",
        "TYPE",
    ]
)
_NO_KEYS = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK"})


def is_key_name(name: str) -> bool:
    """Whether an environment variable of this name holds a credential: `OPENAI_API_KEY`, `GH_TOKEN`, `PGPASSWORD`."""
    upper = name.upper()
    if upper in _NO_KEYS:
        return False
    words = upper.replace("-", "_").split("_")
    if words[-1] in _NOT_KEYS:
        return False
    return (
        not _KEY_WORDS.isdisjoint(words) or upper.endswith(("PASSWORD", "APIKEY", "SECRET")) or upper == "DATABASE_URL"
    )
