"""The examples, as a newcomer runs them."""

import json
import os
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
    done = subprocess.run(command, env=environment(address), capture_output=True, text=True, timeout=60, check=False)
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
        ["sh", str(EXAMPLES / "demo.sh")], env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("The shop has paid 2 refunds.") == 2
    assert done.stdout.count("I refunded 1001") >= 3
    assert done.stderr.count("identical") >= 2
