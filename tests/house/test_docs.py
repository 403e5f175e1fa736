"""The reference is complete: what a user can meet is written down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from playhead.cli.main import COMMANDS, module_of
from playhead.core.events import Ending, EventKind, Flag
from playhead.core.redact_names import NAMES_AHEAD
from playhead.core.redact_rules import RULES
from playhead.core.redact_short import SHORTS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def sections(page: str) -> dict[str, str]:
    """The `##` sections of a reference page, by title without backticks."""
    parts = re.split(r"^## (.+)$", (REFERENCE / page).read_text("utf-8"), flags=re.MULTILINE)
    return {title.strip().strip("`"): text for title, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    """Each command has a section that names all of its options."""
    command = import_module(module_of(name)).command
    text = sections("commands.md")[name]
    options = [opt for param in command.params if isinstance(param, click.Option) for opt in param.opts]
    assert not [option for option in options if f"`{option}" not in text]


def test_every_variable_that_a_user_may_set_is_documented() -> None:
    """Every one that the source reads, but for those that processes of one run tell each other."""
    read = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"PLAYHEAD_[A-Z]+", path.read_text("utf-8"))
    }
    between = ("DURABILITY", "PORT", "PROCESS", "REDACT", "ROUTE", "RUN", "SEED", "TAPE", "VARIABLES")
    documented = set(
        re.findall(r"^\| `(PLAYHEAD_[A-Z]+)` \|", (REFERENCE / "commands.md").read_text("utf-8"), re.MULTILINE)
    )
    assert documented == read - {f"PLAYHEAD_{name}" for name in between}


def test_no_command_is_documented_that_does_not_exist() -> None:
    """The reference promises nothing."""
    assert set(sections("commands.md")) - {"Addresses", "Exit codes", "Environment"} == set(COMMANDS)


def error_codes() -> set[str]:
    """Every code that the source raises: string constants in a `code=` argument."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code":
                found |= {
                    leaf.value
                    for leaf in ast.walk(node.value)
                    if isinstance(leaf, ast.Constant)
                    and isinstance(leaf.value, str)
                    and re.fullmatch(r"[a-z]+(-[a-z]+)*", leaf.value)
                }
    return found


def test_every_error_code_is_a_heading() -> None:
    """And every heading is a code."""
    assert set(sections("errors.md")) == error_codes()


def test_every_event_kind_flag_and_ending_is_documented() -> None:
    """With its number, so that a foreign reader can be written."""
    text = (REFERENCE / "events.md").read_text("utf-8")
    assert not [kind.name for kind in EventKind if f"| `{kind.name}` | {kind.value} |" not in text]
    assert not [flag.name for flag in Flag if f"| `{flag.name}` | {flag.value} |" not in text]
    assert not [ending.value for ending in Ending if f"| `{ending.value}` |" not in text]


def test_every_redaction_rule_is_documented() -> None:
    """What is replaced is no secret."""
    text = (REFERENCE / "redaction.md").read_text("utf-8")
    assert not [rule.id for rule in RULES if f"`{rule.id}`" not in text]
    named = {rule.id for rules in SHORTS.values() for rule in rules} | {name for name, _ in NAMES_AHEAD}
    assert not [name for name in named if f"`{name}`" not in text]
    done = subprocess.run([sys.executable, ROOT / "scripts" / "write_redaction_page.py", "--check"], check=False)
    assert done.returncode == 0, "python scripts/write_redaction_page.py"


def test_every_key_of_a_summary_is_documented() -> None:
    """Keys that scripts read."""
    text = (REFERENCE / "summary.md").read_text("utf-8")
    tree = ast.parse((ROOT / "src/playhead/runs/summary.py").read_text("utf-8"))
    keys = {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    assert keys
    assert not [key for key in sorted(keys) if f'"{key}"' not in text and f"`{key}`" not in text]


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Relative links name files that are there."""
    broken = [
        link
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert not broken


def test_every_decision_says_what_was_decided_and_why() -> None:
    """Records have the same four parts."""
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert records
    for record in records:
        text = record.read_text("utf-8")
        for part in ("## Decision", "## Why", "## Instead of", "## Cost"):
            assert part in text, (record.name, part)
