"""JSON without spaces, by CPython's own encoder and scanner (Modules/_json.c), made once. `JSONEncoder.encode` makes an
encoder for each value, `json.loads` asks for the encoding of each; and loading `json` takes ten milliseconds where nobody
has, for the regular expressions of its decoder.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def dumper(*, is_ascii: bool = True, sort_keys: bool = False, allow_nan: bool = True) -> Callable[[Any], str]:
    """What writes a value as `json.dumps` does, escaping all that is not ASCII if `is_ascii`. It raises TypeError and
    ValueError, and RecursionError for a value that holds itself."""
    try:
        from _json import encode_basestring, encode_basestring_ascii, make_encoder
    except ImportError:  # an interpreter without it
        from json import JSONEncoder

        return JSONEncoder(
            ensure_ascii=is_ascii,
            check_circular=False,
            allow_nan=allow_nan,
            separators=(",", ":"),
            sort_keys=sort_keys,
        ).encode
    escape = encode_basestring_ascii if is_ascii else encode_basestring
    make: Any = make_encoder
    encode = make(None, None, escape, None, ":", ",", sort_keys, False, allow_nan)
    return lambda value: "".join(encode(value, 0))


class _Reading:
    """What `json.JSONDecoder` tells the scanner."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__


def _loader() -> Callable[[bytes], Any]:
    try:
        from _json import make_scanner
    except ImportError:
        from json import loads

        return loads
    make: Any = make_scanner
    scan = make(_Reading())

    def load(data: bytes) -> Any:
        try:
            text = data.decode()
            value, end = scan(text, 0)
            if end == len(text):
                return value
        except (StopIteration, UnicodeDecodeError):
            pass
        from json import loads  # spaces around it, another encoding, or the right words for what is wrong

        return loads(data)

    return load


dump = dumper()
load = _loader()
"""The value of that JSON, as `json.loads` gives it. Raises ValueError, RecursionError."""
