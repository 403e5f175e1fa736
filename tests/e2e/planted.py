"""Secrets drawn from the grammars that their issuers document, at each run anew. Knows nothing of the rules.

Sources: the key formats in the documentation of Anthropic, OpenAI, Google Cloud, AWS IAM ("AKIA" and 16 of A-Z2-7), GitHub
("ghp_" and 30 characters and a base62 CRC-32 of them), GitLab, Slack, Stripe, Hugging Face, npm, SendGrid, Twilio,
DigitalOcean, Databricks, RFC 7519 (JWT), RFC 7468 (PEM), RFC 7617 (Basic), RFC 3986 (userinfo).
"""

from __future__ import annotations

import base64
import json
import string
import textwrap
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
WORD = ALNUM + "_-"


class Secret(NamedTuple):
    """`text` is what a person pastes; `core` what of it must be on no disk."""

    text: str
    core: str


def _base62(number: int) -> str:
    digits = ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[rest] + digits
    return digits


def draw(dice: random.Random) -> list[Secret]:
    """Forty secrets of about thirty kinds."""

    def some(chars: str, count: int) -> str:
        return "".join(dice.choices(chars, k=count))

    def plain(head: str, chars: str, count: int) -> Secret:
        text = head + some(chars, count)
        return Secret(text, text)

    def named(before: str, core: str, after: str = "") -> Secret:
        return Secret(before + core + after, core)

    def github(head: str) -> Secret:
        body = some(ALNUM, 30)
        return plain(head + body + _base62(zlib.crc32(body.encode())), "", 0)

    def jwt() -> Secret:
        parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": some(string.digits, 10), "iat": dice.randrange(1 << 31)}]
        encoded = [
            base64.urlsafe_b64encode(json.dumps(p, separators=(",", ":")).encode()).decode().rstrip("=") for p in parts
        ]
        return plain(".".join(encoded) + ".", WORD, 43)

    def pem() -> Secret:
        body = "\n".join(textwrap.wrap(base64.b64encode(dice.randbytes(600)).decode(), 64))
        return Secret(f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----", body.split("\n")[5])

    def basic() -> Secret:
        coded = base64.b64encode(f"{some(string.ascii_lowercase, 6)}:{some(ALNUM, 12)}".encode()).decode()
        return named("Authorization: Basic ", coded)

    return [
        *(plain("sk-ant-api03-", WORD, 93) for _ in range(3)),
        *(plain("sk-proj-", WORD, 156) for _ in range(2)),
        plain("sk-", ALNUM, 48),
        plain("sk-svcacct-", WORD, 120),
        plain("sk-or-v1-", HEX, 64),
        plain("AIza", WORD, 35),
        plain("GOCSPX-", WORD, 28),
        *(plain("AKIA", string.ascii_uppercase + "234567", 16) for _ in range(2)),
        named("aws_secret_access_key=", some(ALNUM + "/+", 40)),
        github("ghp_"),
        github("gho_"),
        github("ghs_"),
        plain("github_pat_", ALNUM, 82),
        plain("glpat-", WORD, 20),
        plain(f"xoxb-{some(string.digits, 12)}-{some(string.digits, 12)}-", ALNUM, 24),
        plain("sk_live_", ALNUM, 24),
        plain("whsec_", ALNUM, 32),
        plain("hf_", string.ascii_letters, 34),
        plain("gsk_", ALNUM, 52),
        plain("npm_", ALNUM, 36),
        plain(f"SG.{some(WORD, 22)}.", WORD, 43),
        plain("dop_v1_", HEX, 64),
        plain("dapi", HEX, 32),
        plain("r8_", ALNUM, 37),
        plain("pplx-", ALNUM, 48),
        jwt(),
        jwt(),
        pem(),
        basic(),
        named("Bearer ", some(ALNUM, 40)),
        named("postgresql://app:", some(ALNUM, 14), "@db.internal:5432/prod"),
        named("https://x-access-token:", some(ALNUM, 20), "@github.com/acme/app.git"),
        named('{"client_secret": "', some(ALNUM, 32), '"}'),
        named('{"refresh_token": "', some(WORD, 64), '"}'),
        named('password: "', some(ALNUM + "!#%", 14), '"'),
        named("MISTRAL_API_KEY=", some(ALNUM, 32)),
    ]


def held(dice: random.Random) -> dict[str, Secret]:
    """Values of variables, which nothing but the variable's name makes secrets, by that name."""

    def some(chars: str, count: int) -> str:
        return "".join(dice.choices(chars, k=count))

    def coded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    def login() -> str:
        return f"{some(string.ascii_lowercase, 6)}:{some(string.ascii_lowercase + ' ', 14)}{some(ALNUM, 3)}"

    values = [
        coded(login().encode()),
        coded(json.dumps({"user": some(string.ascii_lowercase, 7), "pass": login()}).encode()),
        coded(coded(login().encode()).encode()),
        base64.urlsafe_b64encode(login().encode()).decode().rstrip("="),
        coded(b"\xff" + dice.randbytes(23)),  # begins with a slash
        coded(dice.randbytes(32)),
        base64.b32encode(login().encode()).decode(),
        some(HEX, 32),
        some(ALNUM, 20),
        some(string.ascii_lowercase, 14) + "7",
        f'{some(string.ascii_lowercase, 5)} "{some(ALNUM, 6)}" {some(string.punctuation, 3)}{some(ALNUM, 4)}',
        f"{some(ALNUM, 9)}.{some(WORD, 22)}.{some(ALNUM, 5)}",
    ]
    return {f"ACME_{n}_TOKEN": Secret(f"it is {value} as ever", value) for n, value in enumerate(values)}
