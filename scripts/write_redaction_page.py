"""Write the tables of docs/reference/redaction.md from the rule pack: `python scripts/write_redaction_page.py`.

With `--check` nothing is written; the exit code says whether the page is as the pack is.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from playhead.core.redact_names import CREDENTIAL_HEADERS
from playhead.core.redact_rules import RULE_PACK_VERSION, RULES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "redaction.md"


def tables() -> dict[str, str]:
    """The generated parts by the name of their marker."""
    heads: dict[str, list[str]] = {}
    for rule in RULES:
        heads.setdefault(rule.id, []).extend(f"`{head.decode()}`" for head in rule.heads)
    rows = [f"| `{name}` | {', '.join(dict.fromkeys(found))} |" for name, found in heads.items()]
    return {
        "version": f"Rule pack {RULE_PACK_VERSION}",
        "headers": ", ".join(f"`{name.decode()}`" for name in CREDENTIAL_HEADERS) + ".",
        "shapes": "\n".join(["| rule | begins with |", "|---|---|", *rows]),
    }


def written(page: str) -> str:
    """The page with its generated parts as they should be."""
    for name, text in tables().items():
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)",
            lambda match, text=text: match[1] + text + match[2],
            page,
            flags=re.DOTALL,
        )
    return page


def main() -> int:
    """Write, or check."""
    page = PAGE.read_text("utf-8")
    fresh = written(page)
    if "--check" in sys.argv:
        return int(page != fresh)
    PAGE.write_text(fresh, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
