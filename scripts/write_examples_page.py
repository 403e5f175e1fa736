"""Write what the commands of examples/README.md print into it: `python scripts/write_examples_page.py`.

Each section with a `console` block is run on its own: in a fresh copy of the examples, with a model server and a store of
its own. Titles given as arguments choose sections.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
PAGE = EXAMPLES / "README.md"
SHOWN_FOLDER = Path("/tmp/agents")  # noqa: S108  what the page calls the copy
_BLOCK = re.compile(r"^## (.+)\n(?:(?!## |```).*\n)*```console\n((?:(?!```).*\n)*)```$", re.MULTILINE)


def blocks(page: str) -> dict[str, str]:
    """The transcripts of the page by the title of their section."""
    return dict(_BLOCK.findall(page))


def commands(text: str) -> list[str]:
    """The commands of a transcript."""
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


def transcript(todo: list[str], folder: Path) -> str:
    """Run the commands in an empty folder, in a copy of the examples; what they print, as the page has it."""
    agents = folder / "agents"
    skipped = shutil.ignore_patterns("node_modules", "__pycache__")
    shutil.copytree(EXAMPLES, agents, ignore=skipped)
    server = subprocess.Popen(
        [sys.executable, str(agents / "model_server.py"), "--port", "0", "--pace", "0.002"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            address = server.stdout.readline().strip() if server.stdout else ""
            env = {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(folder),
                "OPENAI_BASE_URL": f"{address}/v1",
            }
            return "".join(_ran(command, agents, env) for command in todo)
        finally:
            server.terminate()


def _ran(command: str, agents: Path, env: dict[str, str]) -> str:
    done = subprocess.run(  # what a reader types
        ["sh", "-c", command],
        cwd=agents,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    out = done.stdout.replace(str(agents.resolve()), str(SHOWN_FOLDER))
    out = out.replace(str(agents.resolve().parent), str(SHOWN_FOLDER.parent))
    ended = f"[exit {done.returncode}]\n" if done.returncode else ""
    return f"$ {command}\n{out}{ended}"


def main(titles: list[str]) -> None:
    """Write the page anew."""
    page = PAGE.read_text("utf-8")
    for title, text in blocks(page).items():
        if not titles or title in titles:
            with tempfile.TemporaryDirectory() as name:
                fresh = transcript(commands(text), Path(name))
            page = page.replace(f"```console\n{text}```", f"```console\n{fresh}```", 1)
            PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
