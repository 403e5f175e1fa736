"""Personal data, on request (`--redact pii`): e-mail addresses, phone and card numbers, IBANs, national ids.

What has a check digit is only taken when it is right. What has none needs its shape and a word that names it close by.
Sources: RFC 5321 (addresses), ITU-T E.164, ISO/IEC 7812-1 (Luhn), ISO 13616 and ISO 7064 (IBAN), Social Security Number
Randomization (SSA), § 139b AO and ISO 7064 MOD 11,10 (Steuer-ID), Orden INT/2058/2008 (DNI, NIE), HMRC NIM39110 (NINO).
Names, postal addresses and dates of birth are not looked for: no pattern finds them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.late import late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Detector = Callable[[bytes, int, int], Iterable[tuple[int, int]]]
    """A plugin that finds personal data: given `data`, `start` and `stop`, it says where in `data[start:stop]` something
    begins and ends."""

DETECTED = "personal"
"""The rule of what a detector finds, whichever it is: short tokens have two letters to name it."""

LONGEST_WORD = 72
"""Bytes of an unfinished word that wait for its end, where a detector may be about it."""

NEAR = 48
"""Bytes before a number in which its name is looked for."""

_EMAIL = late(
    rb"(?<![A-Za-z0-9._%+\-@:/])[A-Za-z0-9](?:[A-Za-z0-9._%+\-]{0,62}[A-Za-z0-9_+\-])?@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,18}(?![A-Za-z0-9@])"
)
_NO_PERSON = (b"git@", b"noreply@", b"no-reply@", b"npm@")
_NUMBER = late(
    rb"(?<![A-Za-z0-9._\-+/])(?:\+|\(|00)?[0-9](?:[0-9]|[ .\-/()]{1,2}(?=[0-9(])){7,24}(?![A-Za-z0-9_\-/]|\.[0-9])"
)
_IBAN = late(rb"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])")
_SPANISH = late(rb"(?<![A-Za-z0-9])(?:[XYZ][ \-]?)?[0-9]{7,8}[ \-]?[A-HJ-NP-TV-Z](?![A-Za-z0-9])")
_NINO = late(
    rb"(?<![A-Za-z0-9])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D](?![A-Za-z0-9])"
)
_NINO_NEVER = (b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ")
_PHONE_NAMED = late(
    rb"(?i)(?:phone|\btel\b|telefon|mobile?|handy|cell|call me|whatsapp|fax|sms|m[o\xc3\xb3]+vil)[^0-9]{0,24}\Z"
)
_SSN_NAMED = late(rb"(?i)(?:ssn|social security)[^0-9]{0,24}\Z")
_TAX_NAMED = late(rb"(?i)(?:steuer|tax|idnr|identifikationsnummer|tin\b)[^0-9]{0,32}\Z")
_SSN = late(rb"[0-9]{3}([ \-])[0-9]{2}\1[0-9]{4}|[0-9]{9}")
_NATIONAL = late(
    rb"\(?[0-9]{3}\)?[ .\-][0-9]{3}[ .\-][0-9]{4}|0[0-9]{2,5}[ /\-][0-9 \-]{4,12}[0-9]|0[1-9](?:[ .][0-9]{2}){4}|[679][0-9]{2}(?: [0-9]{3}){2}|[679][0-9]{2}(?: [0-9]{2}){3}"
)


_ISSUERS = tuple(b"4 51 52 53 54 55 22 23 24 25 26 27 34 37 36 38 30 6011 64 65 35 62 50 56 57 58 67".split())


class Personal(NamedTuple):
    """Where something personal stands, and which rule says so."""

    start: int
    end: int
    rule: str


def luhn(digits: bytes) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = digit - 48
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def is_card(digits: bytes) -> bool:
    """13 to 19 digits of a known issuer with a right check digit, and not one digit again and again."""
    return 13 <= len(digits) <= 19 and digits.startswith(_ISSUERS) and len(set(digits)) > 1 and luhn(digits)


def is_iban(text: bytes) -> bool:
    """Whether ISO 7064 MOD 97-10 holds."""
    plain = text.replace(b" ", b"")
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(chr(c), 36)) for c in turned)) % 97 == 1


def is_steuer_id(digits: bytes) -> bool:
    """Eleven digits, of the first ten one twice or thrice and the others once at most, and MOD 11,10."""
    if len(digits) != 11 or digits[:1] == b"0":
        return False
    often = sorted(Counter(digits[:10]).values())
    if often[-1] not in (2, 3) or often[-2:-1] != [1]:
        return False
    product = 10
    for digit in digits[:10]:
        total = (digit - 48 + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == digits[10] - 48


def is_dni(text: bytes) -> bool:
    """The letter of a Spanish DNI or NIE is the number modulo 23."""
    plain = text.replace(b" ", b"").replace(b"-", b"")
    digits, letter = plain[:-1], plain[-1:]
    if digits[:1] in (b"X", b"Y", b"Z"):
        digits = b"%d" % (b"XYZ".index(digits[:1])) + digits[1:]
    return len(digits) == 8 and b"TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23 : int(digits) % 23 + 1] == letter


def is_ssn(digits: bytes) -> bool:
    """A number that the SSA gives out: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    return digits[:3] not in (b"000", b"666") and digits[:1] != b"9" and digits[3:5] != b"00" and digits[5:] != b"0000"


def personal(data: bytes, start: int, stop: int, detectors: Iterable[Detector] = ()) -> list[Personal]:
    """The personal data in `data[start:stop]`; what stands before `start` is context."""
    found = [Personal(*place, DETECTED) for detect in detectors for place in detect(data, start, stop)]
    if data.find(b"@", start, stop) >= 0:
        found += [
            Personal(*match.span(), "email")
            for match in _EMAIL.finditer(data, start, stop)
            if not match[0].lower().startswith(_NO_PERSON)
        ]
    for match in _NUMBER.finditer(data, start, stop):
        rule = _number(match[0], data[max(0, match.start() - NEAR) : match.start()])
        if rule:
            found.append(Personal(match.start(), match.end(), rule))
    for pattern, rule, valid in ((_IBAN, "iban", is_iban), (_SPANISH, "national-id", is_dni)):
        found += [Personal(*match.span(), rule) for match in pattern.finditer(data, start, stop) if valid(match[0])]
    found += [
        Personal(*match.span(), "national-id")
        for match in _NINO.finditer(data, start, stop)
        if not match[0].startswith(_NINO_NEVER)
    ]
    # The letter of an escape (`\\n`) in front of a word is none of it.
    return [item._replace(start=item.start + (data[item.start - 1 : item.start] == b"\\")) for item in found]


def _number(text: bytes, ahead: bytes) -> str:
    """What a number is: "" for nothing personal."""
    digits = bytes(c for c in text if 48 <= c <= 57)
    if text.startswith(b"+"):
        return "phone" if 8 <= len(digits) <= 15 and digits[:1] != b"0" else ""
    if is_card(digits) and (len(text) > len(digits) or len(digits) in (15, 16)):
        return "card"
    if len(digits) == 9 and _SSN.fullmatch(text) and is_ssn(digits) and (b"-" in text or _SSN_NAMED.search(ahead)):
        return "national-id"
    if is_steuer_id(digits) and _TAX_NAMED.search(ahead) is not None:
        return "national-id"
    if 8 <= len(digits) <= 13 and (_PHONE_NAMED.search(ahead) or (_NATIONAL.fullmatch(text) and b"(" in text)):
        return "phone"
    return ""


def personal_begun(data: bytes, floor: int, *, words: bool = False) -> int:
    """Where something begins at the end of `data` that could go on as personal data; its length when nothing does. With
    `words` any unfinished word could, for detectors of which we do not know what they look for."""
    at = len(data)
    if words:
        word = at
        while word > max(floor, at - LONGEST_WORD) and data[word - 1 : word] not in b' \t\r\n"<>':
            word -= 1
        return min(word, personal_begun(data, floor))
    floor = max(floor, at - 72)
    while at > floor and (data[at - 1 : at].isalnum() or data[at - 1 : at] in b" .-_+%@()/"):
        at -= 1
    tail = data[at:]
    for place in range(len(tail)):
        if tail[place : place + 1].isdigit() or tail[place : place + 1] in b"+@(":
            begin = place
            while begin and (tail[begin - 1 : begin].isalnum() or tail[begin - 1 : begin] in b"._%+-("):
                begin -= 1
            return at + begin
    word = len(data)
    while word > at and (data[word - 1 : word].isalnum() or data[word - 1 : word] in b"._%+-"):
        word -= 1
    return word
