"""What was known of a run when it began. Apart from the rest of a recording: it is all that a launcher needs before its
command starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from playhead.core.ids import is_session_id


@dataclass(frozen=True, slots=True)
class Header:
    """What was known of a run when it began. The body of the SESSION event, as JSON; redacted like everything else."""

    id: str
    created_ns: int  # wall clock
    command: list[str]
    cwd: str
    name: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)  # values of key-like names are not kept
    keys: list[str] = field(default_factory=list)  # names of key-like variables that were set
    stdio: list[str] = field(default_factory=lambda: ["pipe", "pipe", "pipe"])  # "tty", "pipe" or "null", for 0, 1, 2
    terminal: list[int] | None = None  # rows, columns of the terminal, when there was one
    tmpdir: str = ""
    zone_s: int = 0  # offset of local time from UTC
    base_urls: dict[str, str] = field(default_factory=dict)  # base-URL variable -> the URL the user had set
    port: int = 0  # the engine's, on 127.0.0.1; a replay takes the same where it can, for agents that print it
    durability: str = "write"
    redaction: int = 0  # version of the redaction rule pack
    redact: str = "secrets"  # what of it was applied: "secrets", "pii" or "off"
    detectors: list[str] = field(default_factory=list)  # plugins that looked for personal data, too
    route: str = "auto"
    playhead: str = ""
    python: str = ""
    platform: str = ""
    seed: str = ""  # 32 hexadecimal digits from which the agent's randomness is drawn
    hash_seed: str = ""  # PYTHONHASHSEED of its Pythons
    embedded: bool = False  # a block of a program that recorded itself; a replay is the program's, too
    parent: str | None = None
    edited: list[int] = field(default_factory=list)  # steps changed by hand in a cassette since; 0 = something else

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def origin(self) -> str:
        """`recorded`, or `reconstructed` when it is not only what was recorded."""
        return "reconstructed" if self.edited else "recorded"

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Header:
        """Unknown keys are left out. Raises TypeError when a required one is missing or one is not of its type."""
        known = {f.name for f in fields(cls)}
        header = cls(**{k: v for k, v in data.items() if k in known})
        header._check()
        return header

    def _check(self) -> None:
        texts = (
            self.id,
            self.cwd,
            self.name,
            self.tmpdir,
            self.durability,
            self.route,
            self.playhead,
            self.python,
            self.seed,
            self.hash_seed,
        )
        lists = (self.command, self.keys, self.stdio, self.detectors)
        maps = (self.tags, self.environment, self.base_urls)
        sizes = self.terminal or []
        sound = (
            all(isinstance(text, str) for text in (*texts, self.platform, self.parent or ""))
            and all(isinstance(each, list) and all(isinstance(item, str) for item in each) for each in lists)
            and all(isinstance(each, dict) and all(isinstance(v, str) for v in each.values()) for each in maps)
            and isinstance(sizes, list)
            and len(sizes) in (0, 2)
            and all(type(size) is int and 0 <= size < 1 << 16 for size in sizes)
            and type(self.created_ns) is int
            and 0 <= self.created_ns < 1 << 63
            and type(self.zone_s) is int
            and abs(self.zone_s) <= 86400
            and type(self.port) is int
            and 0 <= self.port < 1 << 16
            and type(self.redaction) is int
            and self.redact in ("secrets", "pii", "off")
            and type(self.embedded) is bool
            and isinstance(self.edited, list)
            and all(type(number) is int for number in self.edited)
        )
        if not sound or not is_session_id(self.id) or len(self.stdio) != 3:
            raise TypeError("a field of the header is not of its type")
        if any("\0" in text for text in (*self.command, self.cwd, self.tmpdir)):
            raise TypeError("a NUL in a field of the header")
