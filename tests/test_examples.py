"""The examples, as a newcomer runs them."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NODE_MODULES = Path(__file__).parent / "clients" / "node" / "node_modules"


@pytest.fixture
def shop():
    """The example's model server on a free port; yields its address."""
    command = [sys.executable, str(EXAMPLES / "model_server.py"), "--port", "0", "--pace", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield server.stdout.readline().strip()
        server.terminate()


def environment(address):
    keys = {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none"}
    urls = {"OPENAI_BASE_URL": f"{address}/v1", "ANTHROPIC_BASE_URL": address, "SHOP_URL": f"{address}/shop"}
    return {"PATH": os.environ["PATH"], **keys, **urls}


def run(command, address):
    done = subprocess.run(command, env=environment(address), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def paid(address):
    with urllib.request.urlopen(f"{address}/shop/refunds") as answer:
        return json.load(answer)["count"]


@pytest.mark.parametrize("language", ["python", "node"])
def test_the_agent_refunds_what_the_shop_allows(shop, tmp_path, language):
    """Two orders are refunded over HTTP, the third is declined, in either language."""
    if language == "python":
        command = [sys.executable, str(EXAMPLES / "refund_agent.py")]
    else:
        shutil.copy(EXAMPLES / "refund_agent.mjs", tmp_path)
        (tmp_path / "node_modules").symlink_to(NODE_MODULES)
        command = ["node", str(tmp_path / "refund_agent.mjs")]
    out = run(command, shop)
    assert out.count("  look_up_order(") == 3
    assert out.count("  refund(") == 2
    assert "I refunded 1001 (42.00, rf_" in out
    assert "I could not refund 1002 (delivered and worn)." in out
    assert ("Dear customer" in out) == (language == "node")
    assert paid(shop) == 2


def test_another_wish_gets_another_answer(shop):
    """The scripted model reads what it is asked."""
    out = run([sys.executable, str(EXAMPLES / "refund_agent.py"), "Refund 1003."], shop)
    assert out.count("  look_up_order(") == 1
    assert paid(shop) == 1
    out = run([sys.executable, str(EXAMPLES / "refund_agent.py"), "Hello."], shop)
    assert out.splitlines()[-1] == "There was nothing to refund."


def test_both_agents_name_the_same_versions_of_the_sdks():
    """The examples and the test clients use one set of Node packages."""
    example = json.loads((EXAMPLES / "package.json").read_text())["dependencies"]
    assert example == json.loads((NODE_MODULES.parent / "package.json").read_text())["dependencies"]


def test_the_demo_records_and_replays_without_a_second_refund(tmp_path):
    """demo.sh runs to its end: two refunds while recording, still two after a replay, and replays without the shop."""
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHON": sys.executable,
    }
    done = subprocess.run(
        ["sh", str(EXAMPLES / "demo.sh")], env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("The shop has paid 2 refunds.") == 2
    assert done.stdout.count("I refunded 1001") >= 3
    assert done.stderr.count("identical") >= 2


def page():
    """The script that writes the transcripts of examples/README.md, as a dict of its names."""
    return runpy.run_path(str(EXAMPLES.parent / "scripts" / "write_examples_page.py"))


PAGE = page()
TRANSCRIPTS = PAGE["blocks"](PAGE["PAGE"].read_text("utf-8"))
VARYING = [
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?", "DATE"),
    (r"…\s*\w*\s*", "…"),  # where an excerpt begins and ends follows from how much of two addresses is the same
    (r"\s*\w*…", "…"),
    (r"0x[0-9a-f]+", "ADDRESS"),
    (r"\b[0-9a-f]{8,16}\b", "ID"),
    (r"<1 ms|\d+(\.\d+)? (ms|s|min)\b", "TIME"),
    (r"isolation: \w+", "isolation: ANY"),
    (r"[\d,]+ bytes", "N bytes"),
    (r"these variables:(\nplayhead:     .*)+", "these variables: SOME"),
    (r"\((\d+) % alike\)", "(ALIKE)"),
    (r"\d+ tokens|\$\d+\.\d+", "N"),
    (r" +", " "),
]
RACING = [(r"north|south|east|west", "SHOP"), (r"\d+", "N"), (r" ([✓✗]) ", " ")]


def masked(text, *more):
    """Without what differs from run to run, and the columns that follow from it."""
    for pattern, word in [*VARYING, *more]:
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.splitlines()]


def answers(transcript):
    """What each command printed, and the exit code it ended with."""
    for part in transcript.removeprefix("$ ").split("\n$ "):
        command, _, out = part.partition("\n")
        code = re.search(r"^\[exit (\d+)\]$", out, re.MULTILINE)
        yield command, out, int(code[1]) if code else 0


@pytest.mark.parametrize("title", TRANSCRIPTS)
def test_the_page_shows_what_its_commands_print(title, tmp_path):
    """Each transcript of examples/README.md, run again: the same but for ids, times and who wins a race; what is replayed
    as identical printed the same as its recording."""
    shown = TRANSCRIPTS[title]
    fresh = PAGE["transcript"](PAGE["commands"](shown), tmp_path)
    if "race" in title:
        assert sorted(masked(fresh, *RACING)) == sorted(masked(shown, *RACING))
    else:
        assert masked(fresh) == masked(shown), f"python scripts/write_examples_page.py '{title}'\n{fresh}"
    ran = list(answers(fresh))
    recorded = next(out for command, out, _ in ran if command.startswith("playhead record"))
    for command, out, code in ran:
        if command.startswith("playhead replay") and code == 0:
            assert "✓ identical" in out
            assert out.partition("playhead: ")[0] == recorded.partition("playhead: ")[0]


OUTCOMES = {
    "Golden path": [0],
    "Tool loop": [0],
    "Edited prompt": [1],
    "Missing tool": [1, 1],
    "An address in a prompt": [1],
    "What is not wrapped": [1, 1],
    "Fan-out with a race": [0],
    "Streaming": [0],
    "Several processes": [0],
    "A recording that was cut off": [1],
    "Damaged recordings": [3, 3],
}


def test_the_page_has_every_reference_agent_with_its_outcome():
    """Exit codes of the replays, by section; and each agent that lies there is on the page."""
    told = {
        title: [code for command, _, code in answers(text) if command.startswith("playhead replay")]
        for title, text in TRANSCRIPTS.items()
    }
    assert told == OUTCOMES
    page = PAGE["PAGE"].read_text("utf-8")
    agents = {path.name for path in EXAMPLES.glob("*.py")} - {"chat.py"}
    assert [name for name in sorted(agents) if name not in page] == []


def test_a_mask_hides_no_outcome():
    """The control: another verdict, step, path or word of a report is another transcript."""
    text = TRANSCRIPTS["Edited prompt"]
    for before, after in [
        ("diverged", "identical"),
        ("step 1", "step 2"),
        ("[0].content", "[1].content"),
        ("nothing more.", "nothing."),
        ("0 of 7", "1 of 7"),
        ("[exit 1]", "[exit 3]"),
    ]:
        assert before in text
        assert masked(text.replace(before, after)) != masked(text)
