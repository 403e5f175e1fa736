"""`playhead scan`: secrets in recordings and files, by place, never by value."""

from __future__ import annotations

from codecs import utf_8_decode
from pathlib import Path

import click

from playhead.cassette.locking import is_locked
from playhead.cassette.opening import is_cassette_file, open_recording
from playhead.cli import render
from playhead.cli.options import json_option, open_store, say, store_option
from playhead.errors import SessionNotFound, SetupError
from playhead.sessions.address import find
from playhead.sessions.scan import Finding, files_under, findings, findings_in_file

_RECORDINGS = (".tape", ".tape.d")
_LOOKED_AT = 4096


@click.command(
    "scan",
    short_help="Find secrets in recordings and files; names the place, never the value.",
    epilog="""\b
Examples:
  playhead scan                      every session of the store
  playhead scan last                 one session
  playhead scan tests/cassettes .env files and folders, as a pre-commit hook does
""",
)
@click.argument("places", nargs=-1, metavar="[SESSION|FILE|FOLDER]...")
@json_option
@store_option
def command(*, places: tuple[str, ...], as_json: bool, store: Path | None) -> int:
    """Look for secrets. Exit code 1 when there is one: the step, the JSON path or line and the rule are named, never the
    value itself."""
    found: dict[str, list[Finding]] = {}
    for name, path in _recordings_and_files(places, store):
        found.setdefault(name, []).extend(_findings(path))
    hits = [(name, item) for name, items in found.items() for item in items]
    if as_json:
        document = {"scanned": len(found), "findings": [{"source": name, **item.to_json()} for name, item in hits]}
        click.echo(render.pretty_json(document))
    else:
        for name, item in hits:
            text = str(item) if item.place == name else f"{name}: {item}"
            click.echo(render.harmless(text))
        say(f"playhead: {len(hits)} secrets in {len(found)} places looked at")
    return 1 if hits else 0


def _recordings_and_files(places: tuple[str, ...], root: Path | None) -> list[tuple[str, Path]]:
    """What there is to read, each with the name it is reported under. Without places: all sessions of the store."""
    if not places:
        store = open_store(root)
        return [(session, store.path(session)) for session in store.ids()]
    found: list[tuple[str, Path]] = []
    for place in places:
        path = Path(place)
        if path.is_dir() and not place.rstrip("/").endswith(_RECORDINGS):
            found += [(str(file), file) for file in files_under(path)]
        elif path.exists():
            found.append((place, path))
        else:
            try:
                one = find(open_store(root), place)
            except SessionNotFound as error:
                if "/" in place:
                    raise SessionNotFound(
                        "There is no such file.", code="session-not-found", where=place, todo="ls"
                    ) from error
                raise
            if one.remark:
                say(one.remark)
            found.append((one.id or place, one.path))
    return found


def _findings(path: Path) -> list[Finding]:
    try:
        if _is_recording(path):
            return findings(open_recording(path, edited=True))
        return findings_in_file(path)
    except OSError as error:
        raise SetupError(
            "A file could not be read.",
            code="unreadable-file",
            where=str(path),
            seen=error.strerror or str(error),
            todo="fix its permissions, or leave it out",
        ) from None


def _is_recording(path: Path) -> bool:
    """Whether a file is to be opened as a recording. Other programs have `.tape` files too, which are text, and files in
    the age format that are no cassettes."""
    if path.is_dir():
        return True
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT) if path.is_file() else b""
    if path.name.endswith(".tape"):
        return bool(start) and not _is_text(start)
    return is_cassette_file(path) and (path.suffix == ".rw" or not is_locked(start))


def _is_text(start: bytes) -> bool:
    try:
        utf_8_decode(start, "strict", False)  # the last letter may be cut
    except UnicodeDecodeError:
        return False
    return b"\0" not in start
