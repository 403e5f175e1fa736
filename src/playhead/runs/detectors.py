"""Detectors of personal data beside the own rules: optional plugins, loaded by name where `--redact pii` asks for them.

    PLAYHEAD_DETECTORS=presidio                        while recording; a replay loads those of its recording
    PLAYHEAD_DETECTORS=presidio:UK_NHS+MAC_ADDRESS     with what the plugin is to look for

A plugin is an entry point of the group `playhead.detectors`: a function that takes the text behind the colon ("" for none)
and returns a `core.redact_pii.Detector`. They run in the launcher and the engine, not inside the agent.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from playhead.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from playhead.core.redact_pii import Detector

VARIABLE = "PLAYHEAD_DETECTORS"
GROUP = "playhead.detectors"


def named(environ: Mapping[str, str], redact: str) -> list[str]:
    """The detectors that a recording is asked to use: none without `--redact pii`."""
    return [name for name in environ.get(VARIABLE, "").replace(" ", "").split(",") if name] if redact == "pii" else []


def detectors(names: Iterable[str]) -> list[Detector]:
    """The detectors of these names. Raises SetupError for one that is not there, or that does not know what it is asked."""
    return [_load(name) for name in names]


def _load(name: str) -> Detector:
    plugin, _, wanted = name.partition(":")
    try:
        return _factory(plugin)(wanted)
    except (ImportError, LookupError) as error:
        raise SetupError(
            "A detector of personal data cannot be used.",
            code="no-detector",
            where=f"{VARIABLE}={name}",
            expected="the name of a plugin that is installed, and of what it can look for",
            seen=str(error),
            todo="install it (pip install 'playhead[presidio]'), or record without it",
        ) from None


def _factory(plugin: str) -> Callable[[str], Detector]:
    if plugin == "presidio":
        return cast("Callable[[str], Detector]", import_module("playhead.runs.presidio").detector)
    from importlib.metadata import entry_points  # here: most runs have none, and it takes longer than the rules

    for found in entry_points(group=GROUP, name=plugin):
        return cast("Callable[[str], Detector]", found.load())
    raise LookupError(f"no plugin named {plugin}")
