"""JSON without spaces, without the `json` package."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import playhead
from playhead.core.compact import dump, dumper, load

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_it_writes_what_json_writes(value):
    """Byte for byte, in either alphabet, sorted or not."""
    assert dump(value) == json.dumps(value, separators=(",", ":"))
    in_order = dumper(is_ascii=False, sort_keys=True)
    assert in_order(value) == json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


@given(VALUES, st.sampled_from([None, 1]), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]))
def test_it_reads_what_json_reads(value, indent, encoding):
    """Also with spaces, and in an encoding that JSON had once."""
    data = f" {json.dumps(value, indent=indent, ensure_ascii=False)}\n".encode(encoding, "surrogatepass")
    assert load(data) == json.loads(data)


@given(st.binary(max_size=20) | st.text('[]{}",:0123eE+-. \\utrfalsn', max_size=20).map(str.encode))
def test_it_refuses_what_json_refuses(data):
    """With an error of the same kind, and the same value otherwise."""
    try:
        expected = json.loads(data)
    except (ValueError, RecursionError) as error:
        with pytest.raises(type(error)):
            load(data)
    else:
        assert repr(load(data)) == repr(expected)


def test_numbers_that_are_none_and_depth():
    """Constants that JSON does not know are read as `json` does; hostile depth ends in RecursionError."""
    assert math.isnan(load(b"NaN"))
    assert load(b"[-Infinity,Infinity]") == [-math.inf, math.inf]
    with pytest.raises(RecursionError):
        load(b"[" * 200_000)
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumper(allow_nan=False)(math.nan)


def test_it_loads_no_json():
    """Which is what it is for."""
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from playhead.core.compact import dump, load
load(dump([1]).encode())
print("json" in sys.modules)
"""
    source = str(Path(playhead.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, source], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "False", done.stderr
