"""Exceptions as JSON and back."""

import asyncio
import json
import subprocess

import pytest

from playhead.capture.boundary import encode
from tests.capture.boundary import values as v


def again(error, outer=None):
    return encode.read_raised(encode.write_raised(error, outer))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad", 1),
        KeyError("k"),
        FileNotFoundError(2, "No such file", "/tmp/x"),
        OSError("odd"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        ImportError("no", name="mod", path="/x"),
        StopIteration(5),
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError("x"),
        json.JSONDecodeError("bad", "{", 1),
        subprocess.CalledProcessError(2, ["x"], output=b"out"),
        SyntaxError("bad", ("f.py", 1, 2, "x =")),
        v.Refused("A1", reason="late"),
        v.Group("two", [ValueError(1), v.Refused("A", reason="r")]),
    ],
    ids=repr,
)
def test_exceptions_come_back(error):
    """Of the same type, with arguments, attributes and text."""
    found = again(error)
    assert type(found) is type(error)
    assert (str(found), repr(found)) == (str(error), repr(error))
    assert vars(found) == vars(error) or isinstance(error, v.Group)
    for name in ("errno", "filename", "name", "path", "value", "code", "object", "lineno", "doc"):
        assert getattr(found, name, None) == getattr(error, name, None)


def test_members_of_a_group_come_back():
    """Each of its type, and `except*` would find it."""
    found = again(v.Group("two", [ValueError(1), v.Refused("A", reason="r")]))
    assert [type(each) for each in found.exceptions] == [ValueError, v.Refused]
    assert found.exceptions[1].reason == "r"


def test_causes_contexts_and_notes_come_back():
    """What it was raised from, as a traceback shows it; not what the caller was handling."""
    outer = LookupError("the caller's")
    try:
        try:
            raise outer
        except LookupError:
            try:
                {}["k"]
            except KeyError as error:
                raise ValueError("because") from error
    except ValueError as error:
        error.add_note("a note")
        found = again(error, outer)
    assert type(found.__cause__) is KeyError
    assert found.__suppress_context__
    assert found.__notes__ == ["a note"]
    assert found.__cause__.__context__ is None


def test_a_class_that_is_not_loaded_is_stood_in_for():
    """By one of its name below its nearest loaded base, which says the same."""
    body = encode.write_raised(v.Refused("A1", reason="late")).replace(b"values:Refused", b"gone:Refused")
    found = encode.read_raised(body)
    assert type(found).__name__ == "Refused"
    assert isinstance(found, ValueError)
    assert (str(found), found.reason) == ("A1: late", "late")
    assert type(encode.read_raised(body)) is type(found)


def test_a_class_inside_a_function_is_stood_in_for():
    """Its name and text are kept."""

    class Local(KeyError):
        def __str__(self):
            return "says so"

    found = again(Local("k"))
    assert (type(found).__name__, str(found), isinstance(found, KeyError)) == ("Local", "says so", True)


def test_attributes_that_cannot_be_stored_are_left_out():
    """And named; the rest is there."""
    error = ValueError("bad")
    error.response, error.status = v.Plain(), 404
    body = encode.write_raised(error)
    assert json.loads(body)["lost"] == ["response"]
    found = encode.read_raised(body)
    assert found.status == 404
    assert not hasattr(found, "response")


def test_an_exception_that_would_say_something_else_is_refused():
    """What it says is kept where storing does not reach: the replay refuses instead of raising another."""
    with pytest.raises(encode.Unreadable, match="values:Hidden cannot be stored"):
        again(v.Hidden())
    with pytest.raises(encode.Unreadable, match="values:Plain cannot be stored"):
        again(ValueError(v.Plain()))


def test_exceptions_are_values_too():
    """As `gather(return_exceptions=True)` returns them."""
    found = encode.read(encode.write([ValueError("x"), 1]))
    assert (type(found[0]), str(found[0])) == (ValueError, "x")
    with pytest.raises(encode.Unreadable):
        encode.read_raised(b"1")
