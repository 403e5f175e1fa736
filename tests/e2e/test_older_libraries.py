"""Libraries of which agents have an older version than the one that the other tests run with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TALKS = ("tests/e2e/test_carried_websockets.py", "tests/e2e/test_carried_talks.py")


@pytest.mark.parametrize(("library", "version"), [("websockets", "15.0.1")])
def test_the_same_tests_pass_with_it(library, version):
    """openai's realtime interface asks for websockets before 16, which connects in another way."""
    place = ROOT / ".cache" / f"{library}-{version.partition('.')[0]}" / "site-packages"
    assert (place / library).is_dir(), "make setup fetches it"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**ours, "PYTHONPATH": str(place)}
    asked = [sys.executable, "-c", f"import {library}; print({library}.__version__)"]
    said = subprocess.run(asked, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == f"{version}\n"
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TALKS]
    ran = subprocess.run(run, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-1000:]
