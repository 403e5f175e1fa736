"""What others may rely on, pinned: a change here is a decision, not an accident."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import playhead
from playhead import errors

ROOT = Path(__file__).parents[2]


def test_names_of_the_package() -> None:
    """`playhead.__all__`, all of it importable."""
    names = "boundary errors open record replay session step tool unrecorded"
    assert sorted(playhead.__all__) == ["__version__", *names.split()]
    for name in playhead.__all__:
        assert getattr(playhead, name) is not None


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    """Lazy loading behaves like a module."""
    assert not hasattr(playhead, "recrod")


def test_errors_and_their_exit_codes() -> None:
    """One tree of two levels, and what a command ends with."""
    classes = {name: value for name, value in vars(errors).items() if inspect.isclass(value)}
    assert {name: value.exit_code for name, value in classes.items()} == {
        "PlayheadError": 5,
        "UsageError": 2,
        "SetupError": 2,
        "SessionNotFound": 3,
        "DamagedRecording": 3,
        "IncompatibleRecording": 3,
        "NothingCaptured": 4,
        "LiveCallBlocked": 4,
        "Diverged": 1,
        "InternalError": 5,
    }
    assert all(value.__bases__ == (errors.PlayheadError,) for name, value in classes.items() if name != "PlayheadError")


def test_version_is_said_once() -> None:
    """The package and its metadata agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == playhead.__version__
