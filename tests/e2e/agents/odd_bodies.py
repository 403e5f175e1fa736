"""Bodies and heads that only bytes can keep: made from a seed, sent one after the other over one connection.

argv: SEED COUNT. Prints a digest of every answer.
"""

import hashlib
import json
import random
import sys

HOST = "shop.example"
NUMBERS = ("1e400", "-0", "1.0", "1.00", "1E+2", "0.1e-7", "12345678901234567890123", "-0.0", "3", "1e-400")
STRINGS = (
    '""', '"a"', r'"\u0041"', '"A"', r'"\/"', '"/"', r'"\ud83d\ude00"', '"😀"', r'"\ud800"', r'"\udc00\ud800"', r'"\n\t\u0000"',
    '"é"', r'"\u00e9"', '"e\u0301"', '"\u2028"',
)  # fmt: skip
SPACES = ("", "", "", " ", "\n", "\t", " \r\n ")
HEADERS = (
    "Content-Type: application/json", "content-type:application/json", "CONTENT-TYPE:   application/json  ",
    "X-B: 2", "x-a: 1", "X-A: 3", "Accept: */*", "accept:text/event-stream", "X-Empty:", "X-Long: " + "v" * 3000,
    "user-agent: odd/1.0 (by hand)", "X-Utf8: é",
)  # fmt: skip


def value(dice, depth):
    """One JSON value as text, spaced and spelled at random; objects may repeat a key."""
    kind = dice.random()
    if depth <= 0 or kind < 0.3:
        return dice.choice((*NUMBERS, *STRINGS, "true", "false", "null"))
    gap = lambda: dice.choice(SPACES)  # noqa: E731
    if kind < 0.6:
        inner = ",".join(gap() + value(dice, depth - 1) + gap() for _ in range(dice.randrange(5)))
        return f"[{inner}]" if inner else f"[{gap()}]"
    keys = [dice.choice(STRINGS) for _ in range(dice.randrange(5))]
    inner = ",".join(f"{gap()}{key}{gap()}:{gap()}{value(dice, depth - 1)}{gap()}" for key in keys)
    return f"{{{inner}}}"


def body(dice, number):
    """The body of one request; every one is different."""
    kind = dice.random()
    if kind < 0.04:
        return number.to_bytes(2, "big") + dice.randbytes(dice.randrange(2000))
    if kind < 0.05:
        return f"not json at all {number} {{".encode()
    if kind < 0.07:
        return json.dumps({"n": number, "text": "word " * dice.randrange(60_000)}).encode()
    text = f'{{"n":{number},{dice.choice(STRINGS)}:{value(dice, 4)}}}'
    return (dice.choice(SPACES) + text + dice.choice(SPACES)).encode("utf-8", "surrogatepass")


def requests(seed, count):
    """(head, body) of each request."""
    dice = random.Random(seed)
    for number in range(count):
        content = body(dice, number)
        fields = [f"hOsT: {HOST}", f"CONTENT-length: {len(content)}", *dice.sample(HEADERS, dice.randrange(6))]
        dice.shuffle(fields)
        head = (
            f"POST /odd/{number % 7}?b=2&a=1&a=%41 HTTP/1.1\r\n" + "".join(f"{field}\r\n" for field in fields) + "\r\n"
        )
        yield head.encode(), content


def main():
    from raw_client import connect, read_answer

    sock = connect(HOST)
    for head, content in requests(int(sys.argv[1]), int(sys.argv[2])):
        sock.sendall(head + content)
        print(hashlib.sha256(read_answer(sock)).hexdigest()[:16])


if __name__ == "__main__":
    main()
