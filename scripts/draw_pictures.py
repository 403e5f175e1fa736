"""Draw the pictures of the README from true runs: `python scripts/draw_pictures.py docs/pictures`.

Records the bundled example, then shows `inspect` and the report of a replay whose prompt was changed by one letter, each
in a terminal of its own, and writes what that terminal showed as SVG.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

EXAMPLES = Path(__file__).parents[1] / "examples"
COLUMNS = 132


def shown(command: list[str], env: dict[str, str]) -> str:
    """What a command writes to a terminal of COLUMNS columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    process = subprocess.Popen(command, env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    pieces = []
    with contextlib.suppress(OSError):
        while piece := os.read(master, 65536):
            pieces.append(piece)
    process.wait()
    os.close(master)
    return b"".join(pieces).decode("utf-8", "replace").replace("\r\n", "\n")


def draw(path: Path, title: str, text: str) -> None:
    """Write terminal text as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text))
    path.write_text(console.export_svg(title=title), "utf-8")


def main(folder: Path) -> None:
    """Draw all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    playhead = [sys.executable, "-m", "playhead"]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        agent = work / "refund_agent.py"
        agent.write_text((EXAMPLES / "refund_agent.py").read_text("utf-8"), "utf-8")
        server = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "model_server.py"), "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            address = (server.stdout.readline() if server.stdout else "").strip()
            env = {
                **os.environ,
                "PLAYHEAD_STORE": str(work / "store"),
                "OPENAI_BASE_URL": f"{address}/v1",
                "OPENAI_API_KEY": "none",
                "SHOP_URL": f"{address}/shop",
                "TERM": "xterm-256color",
            }
            command = ["python", "refund_agent.py"]
            subprocess.run([*playhead, "record", "--name", "refund", "--", *command], env=env, cwd=work, check=True)
        finally:
            server.terminate()
            server.wait()
        draw(folder / "inspect.svg", "playhead inspect refund", shown([*playhead, "inspect", "refund"], env))
        changed = agent.read_text("utf-8").replace("You refund what", "You refunds what")
        agent.write_text(changed, "utf-8")
        report = shown([*playhead, "replay", "refund"], env)
        start = report.rfind("diverged at")
        draw(folder / "divergence.svg", "playhead replay refund", report[max(0, start) :])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
