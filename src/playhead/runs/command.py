"""What the user wants run: a command line, or `MODULE:FUNCTION` of Python."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

from playhead.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FUNCTION = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\Z")
_CALL = """\
import asyncio, importlib, inspect, os, sys
sys.path.insert(0, os.getcwd())
module, _, name = sys.argv.pop(1).partition(":")
function = importlib.import_module(module)
for part in name.split("."):
    function = getattr(function, part)
result = function()
if inspect.isawaitable(result):
    async def main():
        return await result
    result = asyncio.run(main())
sys.exit(result if isinstance(result, int) and not isinstance(result, bool) else 0)
"""


def resolve_command(argv: Sequence[str]) -> list[str]:
    """The arguments to execute. `MODULE:FUNCTION` becomes a Python that imports and calls it (an awaitable is run),
    with this interpreter. Raises UsageError when there is nothing to run."""
    if not argv or not argv[0]:
        raise UsageError(
            "There is no command to run.",
            code="no-command",
            expected="the agent's own command line",
            todo="playhead record -- python agent.py",
        )
    if _FUNCTION.match(argv[0]) and shutil.which(argv[0]) is None:
        return [sys.executable, "-c", _CALL, *argv]
    return list(argv)
