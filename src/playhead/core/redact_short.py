"""Secrets too short to be a run, known by what stands before them: passwords, basic credentials, cookies.

Each rule has literals (`needles`) that must stand in its name, the pattern of name and value from that literal on, and
a judgement of the value. The pattern's last group is the value.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.late import late
from playhead.core.redact_rules import DRAWN, is_generated

if TYPE_CHECKING:
    from collections.abc import Callable

NO_PASSWORDS = frozenset(
    b"string password passwd required optional secret hidden masked integer boolean undefined default unknown"
    b" your-password changeme".split()
)
_LEADS_ELSEWHERE = (
    b"os.",
    b"process.",
    b"env.",
    b"self.",
    b"config.",
    b"settings.",
    b"getenv",
    b"getpass",
    b":",
    b"%3a",
    b"${",
    b"$(",
    b"{{",
    b"%(",
    b"<",
)
_MASKS = b"*x.#_-\xe2\x80\xa2"  # and the bullet: what others have masked already
_BLANK = late(rb"%(?:20|0[9AaDd]|26)")
_PLAIN_TEXT = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_BETWEEN = rb"[\"'\\]*[ \t+]*(?:=>|:=|[:=]|%3[ADad])[ \t+]*"
_QUOTED = rb"\\*[\"']([^\"'\\\s\x00-\x1f]{6,256})(?=[\"'\\])"
_BARE = rb"([^\"'\\\s<>{}&,;()\[\]\x00-\x1f]{6,256})(?=[\"'\\\s&,;<)\]}]|\Z)"
_OPEN_VALUE = rb"\\*[\"']?([^\"'\\\s<>]{0,250})\Z"


def is_password(value: bytes, *, quoted: bool) -> bool:
    """Whether what stands behind `password:` is one, and not a type, a variable or the next word of a sentence."""
    value = _BLANK.split(value, 1)[0] if b"%" in value else value  # the next word of a form, too
    plain = value.lower()
    if plain in NO_PASSWORDS or plain.startswith(_LEADS_ELSEWHERE) or b"redacted:" in plain:
        return False
    if not plain.strip(_MASKS):
        return False
    if quoted or any(c in b"0123456789!@#%^*+~?$" for c in plain):
        return True
    return not value.isupper() and len(DRAWN.findall(value)) >= 2


def is_secret_value(value: bytes, *, quoted: bool = False) -> bool:  # noqa: ARG001
    """As `is_password` for names that prose uses, too: eight bytes or more, with a digit or a sign."""
    return len(value) >= 8 and is_password(value, quoted=False)


def is_typed(value: bytes, *, quoted: bool = False) -> bool:  # noqa: ARG001
    """Whether a word of a command line is a password, and not a variable."""
    return value[:1] not in b"$%<*{" and is_password(value, quoted=True)


def is_user_and_password(value: bytes, *, quoted: bool = False) -> bool:  # noqa: ARG001
    """Whether `value` is base64 of `user:password` (RFC 7617)."""
    try:
        plain = binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        return False
    user, colon, password = plain.partition(b":")
    return (
        bool(colon and user and password) and not plain.translate(None, _PLAIN_TEXT) and not password.startswith(b"<")
    )


def is_bearer(value: bytes, *, quoted: bool = False) -> bool:  # noqa: ARG001
    """Whether what stands behind `Authorization: Bearer` is a token, however short."""
    return is_password(value, quoted=False) and any(48 <= c <= 57 for c in value)


def is_key(value: bytes, *, quoted: bool = False) -> bool:  # noqa: ARG001
    """Whether a value of 12 to 19 bytes behind `api_key` was generated."""
    return is_generated(value)


def is_cookie(value: bytes, *, quoted: bool = False) -> bool:  # noqa: ARG001
    """Whether the value of a `Cookie:` line in text holds anything but a token of ours."""
    return not value.startswith(b"<redacted")


class Found(NamedTuple):
    """Where a short secret stands."""

    start: int
    end: int
    rule: str


@dataclass(frozen=True, slots=True)
class Short:
    """One rule. `begun` is its pattern when the end of the data cuts the value. `behind`, if given, must match what
    stands right before the needle."""

    id: str
    pattern: re.Pattern[bytes]
    begun: re.Pattern[bytes]
    valid: Callable[..., bool]
    behind: re.Pattern[bytes] | None = None

    def at(self, data: bytes, where: int) -> Found | None:
        """The secret whose name has its needle at `where`."""
        match = self.pattern.match(data, where)
        if match is None or match.lastindex is None:
            return None
        if self.behind is not None and self.behind.search(data, max(0, where - 96), where) is None:
            return None
        start, end = match.span(match.lastindex)
        if not self.valid(match[match.lastindex], quoted=match.lastindex == 1):
            return None
        return Found(start, end, self.id)


def _short(
    name: str,
    words: bytes,
    valid: Callable[..., bool],
    *,
    values: bytes = b"(?:" + _QUOTED + b"|" + _BARE + b")",
    begun: bytes = _OPEN_VALUE,
    behind: bytes | None = None,
) -> Short:
    return Short(
        name,
        late(b"(?i:" + words + b")" + values),
        late(b"(?i:" + words + b")" + begun),
        valid,
        None if behind is None else late(behind),
    )


_B64 = rb"([A-Za-z0-9+/]{8,400}={0,2})(?![A-Za-z0-9+/])"
_B64_BEGUN = rb"([A-Za-z0-9+/]{0,250}={0,2})\Z"
_BASIC = _short("basic-auth", rb"basic(?: +|%20)", is_user_and_password, values=_B64, begun=_B64_BEGUN)
_DOCKER = _short("basic-auth", rb"auth\\*\"\s*:\s*\\*\"", is_user_and_password, values=_B64, begun=_B64_BEGUN)
_KEY = _short(
    "credential",
    rb"api[_-]?key" + _BETWEEN,
    is_key,
    values=rb"(?:\\*[\"']([A-Za-z0-9_\-.~+/]{12,19})(?=[\"'\\])|([A-Za-z0-9_\-.~+/]{12,19})(?=[\s&,;\"'\\]|\Z))",
    begun=rb"\\*[\"']?([A-Za-z0-9_\-.~+/]{0,19})\Z",
)
_WORD, _WORD_BEGUN = rb"([^\s\"'`\\]{6,256})", rb"([^\s\"'`\\]{0,250})\Z"
_FIELD = (
    rb"[\"\]]*(?:;[^\r\n]{0,120})?\r?\n(?:[A-Za-z\-]{1,40}:[^\r\n]{0,120}\r?\n){0,3}\r?\n"  # of multipart/form-data
)
_PAIR = rb"[\"'\\]{1,8} ?,?(?:[\s\"'\\]|(?<=\\)[nrt]){0,64}value[\"'\\]{0,8}\s{0,4}[:=]\s{0,8}"  # name and value
_GAP = rb"(?:[ \t]|\\+[nrt]|[\r\n])+"

SHORTS: dict[bytes, tuple[Short, ...]] = {
    b"passw": (
        _short(
            "password",
            rb"passw(?:or)?d is:? +[\"'`]?",
            is_secret_value,
            values=rb"([^\s\"'`\\,;]{6,256})",
            begun=_WORD_BEGUN,
        ),
        _short("password", rb"passw(?:or)?d" + _BETWEEN, is_password),
        _short(
            "password", rb"passw(?:or)?d" + _FIELD, is_typed, values=rb"([^\r\n]{4,256})", begun=rb"([^\r\n]{0,250})\Z"
        ),
        _short("password", rb"passw(?:or)?d" + _PAIR, is_password),
        _short(  # an argument and the next, define('DB_PASSWORD', '...')
            "password",
            rb"passw(?:or)?d\\*[\"'] *, *",
            is_password,
            values=rb"\\*[\"']([^\"'\\\s\x00-\x1f]{6,256})(?=\\*[\"'] *\))",
            begun=rb"\\*[\"']?([^\"'\\\s]{0,250}\\*[\"']? *)\Z",
        ),
        _short(  # a flag
            "password",
            rb"passw(?:or)?d(?:[ =]+|\\*[\"'], *)\\*[\"']?",
            is_secret_value,
            values=_WORD,
            begun=_WORD_BEGUN,
            behind=rb"(?<![A-Za-z0-9])-(?:[A-Za-z0-9]{1,16}-)?\Z",
        ),
        _short(
            "password",
            rb"passw(?:or)?d>",
            is_password,
            values=rb"([^<>\s\"']{4,256})(?=<)",
            begun=rb"([^<>\s\"']{0,250})\Z",
        ),
        _short(  # .netrc
            "password",
            rb"password" + _GAP,
            is_password,
            values=rb"([^\s\"'\\]{4,256})",
            begun=rb"([^\s\"'\\]{0,250})\Z",
            behind=rb"login" + _GAP + rb"[^\s\\]+" + _GAP + rb"\Z",
        ),
    ),
    b"curl ": (
        _short(
            "password",
            rb"curl [^\r\n]{0,200}?(?:-u|--user)[ =]?\\*[\"']?[^\s:\"'\\/]{1,80}:",
            is_typed,
            values=_WORD,
            begun=_WORD_BEGUN,
        ),
    ),
    b"sshpass": (_short("password", rb"sshpass +-p *\\*[\"']?", is_typed, values=_WORD, begun=_WORD_BEGUN),),
    b"redis-cli": (
        _short(
            "password",
            rb"redis-cli [^\r\n]{0,120}?-(?:a|-pass) +\\*[\"']?",
            is_typed,
            values=_WORD,
            begun=_WORD_BEGUN,
        ),
    ),
    b"mysql": (
        _short(
            "password",
            rb"mysql(?:dump|admin|import)? [^\r\n|;]{0,120}?(?<= )-p",
            is_secret_value,
            values=_WORD,
            begun=_WORD_BEGUN,
        ),
    ),
    b":5432:": (_short("password", rb":5432:[^:\s\\]+:[^:\s\\]+:", is_typed, values=_WORD, begun=_WORD_BEGUN),),
    b"_auth": (_short("basic-auth", rb"_auth *= *\\*[\"']?", is_user_and_password, values=_B64, begun=_B64_BEGUN),),
    b"_pass=": (
        Short(  # of an environment
            "password",
            late(rb"_PASS=(?:" + _QUOTED + rb"|" + _BARE + rb")"),
            late(rb"_PASS=" + _OPEN_VALUE),
            is_secret_value,
        ),
    ),
    b"passphrase": (_short("password", rb"passphrase" + _BETWEEN, is_password),),
    b"secret": (_short("password", rb"secret(?:[_-]?key)?" + _BETWEEN, is_secret_value),),
    b"pwd=": (
        _short(  # connection strings
            "password",
            rb"pwd=",
            is_password,
            values=rb"([^;\"'\\\s]{4,256})",
            begun=rb"([^;\"'\\\s]{0,250})\Z",
            behind=rb"; *\Z",
        ),
    ),
    b"basic": (_BASIC,),
    b'auth"': (_DOCKER,),
    b"auth\\": (_DOCKER,),
    b"bearer": (
        _short(
            "bearer-token",
            rb"bearer +",
            is_bearer,
            values=rb"([A-Za-z0-9._~+/\-]{6,}=*)",
            begun=rb"([A-Za-z0-9._~+/\-]{0,250})\Z",
            behind=rb"(?i)authorization[\"'\\]*\s*[:=][\"'\\\s]*\Z",
        ),
    ),
    b"cookie": (
        _short(
            "cookie",
            rb"cookie(?:[\"'\\]*:\s*\[?\s*|" + _PAIR + rb")[\"'\\]*",
            is_cookie,
            values=rb"([!#-&*-:<>-\[\]-~]{1,128}=[^\r\n\"'\\]{4,4096})",
            begun=rb"([!#-&*-:<>-\[\]-~]{1,128}=[^\r\n\"'\\]{0,250})\Z",
        ),
    ),
    b"api_key": (_KEY,),
    b"api-key": (_KEY,),
    b"apikey": (_KEY,),
}
"""Rules by a literal in small letters with which their name begins."""


def _probes() -> dict[bytes, list[tuple[bytes, int, tuple[Short, ...]]]]:
    """By a part of the needle to look for: the needle, where in it that is, and its rules. The part is one without `a`, the
    commonest letter, at which a search stops; several needles may share one."""
    parts = {needle: max(needle.split(b"a"), key=len) for needle in SHORTS}
    probes: dict[bytes, list[tuple[bytes, int, tuple[Short, ...]]]] = {}
    for needle, part in parts.items():
        probe = min((other for other in parts.values() if other in part), key=len)
        probes.setdefault(probe, []).append((needle, needle.index(probe), SHORTS[needle]))
    return probes


_PROBES = _probes()

URL_PASSWORD = late(rb"://[^\s/:@\"'<>\\]*(?::|%3[Aa])([^\s/@\"'<>\\]{3,200})(?:@|%40(?=[A-Za-z0-9.\-]+[:/\"'\\\s?]))")
URL_OPEN = late(rb"://[^\s/:@\"'<>\\]*:([^\s/@\"'<>\\]{0,200})\Z")


_NAMES = late(b"|".join(map(re.escape, SHORTS)))
BEFORE_QUOTE = tuple(needle[:-1] for needle in SHORTS if needle.endswith(b'"'))
"""What names a secret when a quote follows; a quote stands nowhere else in a needle."""
LONGEST_NAME = max(map(len, SHORTS))
_ONE_PASS = 160


def has_name(data: bytes, start: int) -> bool:
    """Whether `data[start:]` holds a literal with which the name of a short secret begins."""
    small = (data[start:] if start else data).lower()
    # one pass of an alternation costs less than a dozen searches, and more in a long piece; `in` makes and drops an
    # exception before it searches bytes for bytes
    if len(small) < _ONE_PASS or max(map(small.find, _PROBES)) >= 0:
        return _NAMES.search(small) is not None
    return False


def short_secrets(data: bytes, start: int, stop: int) -> list[Found]:
    """The short secrets of `data` whose names begin in `data[start:stop]`."""
    found: list[Found] = []
    small = data[start:stop].lower()
    for probe in _PROBES:
        hit = small.find(probe)
        while hit >= 0:
            for needle, ahead, rules in _PROBES[probe]:
                where = hit - ahead
                if where >= 0 and small.startswith(needle, where):
                    found += _first(rules, data, start + where)
            hit = small.find(probe, hit + 1)
    where = data.find(b"@", start, stop)
    while where >= 0:
        scheme = data.rfind(b"://", max(0, where - 256), where)
        if scheme >= 0:
            match = URL_PASSWORD.match(data, scheme)
            if match is not None:
                found.append(Found(match.start(1), match.end(1), "url-password"))
        where = data.find(b"@", where + 1, stop)
    return found


def _first(rules: tuple[Short, ...], data: bytes, where: int) -> list[Found]:
    """What the first rule finds that finds something at the needle's place."""
    for rule in rules:
        secret = rule.at(data, where)
        if secret is not None:
            return [secret]
    return []


def short_begun(data: bytes, floor: int) -> int:
    """Where the value of an unfinished `password=...` or `://user:...` begins; the length of `data` if there is none."""
    hold = len(data)
    floor = max(0, floor)
    small = data[floor:].lower()
    for needle, rules in SHORTS.items():
        where = small.rfind(needle)
        if where >= 0:
            for rule in rules:
                match = rule.begun.match(data, floor + where)
                if match is not None:
                    hold = min(hold, match.start(1))
    scheme = data.rfind(b"://", floor)
    if scheme >= 0:
        match = URL_OPEN.match(data, scheme)
        if match is not None:
            hold = min(hold, match.start(1))
    return hold
