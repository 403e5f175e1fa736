"""The house rules a linter does not know."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "playhead"
MODULES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted(p for p in (ROOT / "tests").rglob("*.py") if "node_modules" not in p.parts)
LONGEST = 600


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_is_longer_than_600_lines(path: Path) -> None:
    """One concept a file; a longer one has two."""
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


def test_no_junk_drawers() -> None:
    """A module is named after what it owns."""
    assert not [p for p in (*MODULES, *TESTS) if p.stem in {"utils", "util", "helpers", "helper", "common", "misc"}]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_says_what_it_owns(path: Path) -> None:
    """By its docstring, of more than a word."""
    said = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert said
    assert len(said.split()) >= 3


def test_nothing_is_left_for_later() -> None:
    """No marks of unfinished work in the source."""
    marks = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", "X" + "XX ")
    found = [f"{p.name}: {mark}" for p in MODULES for mark in marks if mark in p.read_text("utf-8")]
    assert not found


def test_every_test_says_what_it_shows() -> None:
    """A docstring for each, so that a failure reads as a sentence."""
    silent = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent


def test_tests_do_not_sleep_to_synchronise() -> None:
    """A pause above 50 ms waits for something that could be observed. Scripted servers and agents may be slow."""
    slow = []
    for path in TESTS:
        if not path.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "sleep":
                continue
            pause = node.args[0] if node.args else None
            if isinstance(pause, ast.Constant) and isinstance(pause.value, (int, float)) and pause.value > 0.05:
                slow.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not slow


def test_what_runs_inside_the_agent_is_standard_library_only() -> None:
    """`core` and `journal` import nothing that an agent's environment might lack or have in another version."""
    program = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
for room in ("core", "journal"):
    for path in sorted(pathlib.Path(sys.argv[1], "playhead", room).glob("*.py")):
        __import__(f"playhead.{room}.{path.stem}")
foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"playhead", "__main__"}
print(*sorted(name for name in foreign if not name.startswith("_")))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(ROOT / "src")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_the_makefile_runs_every_check() -> None:
    """The README's commands are targets, and continuous integration ends with the test command."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for step in ("ruff format --check", "ruff check", "/mypy", "lint-imports", "-m pytest"):
        assert step in makefile
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    assert (ROOT / ".ci" / "run").read_text("utf-8").rstrip().splitlines()[-1] == "make test"
