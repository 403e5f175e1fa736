"""Presidio's pattern recognisers as a detector: no language model is loaded, and nothing is fetched.

Those of e-mail addresses and URLs are not among them: they look for a list of top-level domains on the network. What is
found must have a check digit or a shape of its own (a score of 0.5 and more, after validation), and by default is one
of ENTITIES: the others take timestamps and counters for somebody's number.
Source: presidio-analyzer (MIT, by Microsoft), `PatternRecognizer.analyze`.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.core.redact_pii import Detector

ENTITIES = ("CRYPTO", "IP_ADDRESS", "MAC_ADDRESS", "MEDICAL_LICENSE", "SG_NRIC_FIN", "UK_NHS")
"""What is looked for unless other entities are named."""

_ON_THE_NETWORK = frozenset({"EMAIL_ADDRESS", "URL"})
_LEAST_SCORE = 0.5


def detector(wanted: str) -> Detector:
    """A detector of entities that are named like Presidio's, joined by `+`; "" for ENTITIES. Raises ImportError without
    the package, and LookupError for an entity that no pattern finds."""
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    names = tuple(wanted.split("+")) if wanted else ENTITIES
    known = _recognisers()
    for name in names:
        if name not in known:
            raise LookupError(f"{name}; there are {', '.join(sorted(known))}")
    chosen = [(name, recogniser) for name in names for recogniser in known[name]]

    def detect(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
        text = data[start:stop].decode("latin-1")  # a letter a byte, so that offsets are true
        for name, recogniser in chosen:
            for found in recogniser.analyze(text, [name], None):
                if found.score >= _LEAST_SCORE:
                    yield start + found.start, start + found.end

    return detect


def _recognisers() -> dict[str, list[Any]]:
    """The pattern recognisers for English text by what they find."""
    base = import_module("presidio_analyzer").PatternRecognizer
    module = import_module("presidio_analyzer.predefined_recognizers")
    found: dict[str, list[Any]] = {}
    for name in sorted(dir(module)):
        kind = getattr(module, name)
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base:
            try:
                made = kind()
            except Exception:  # noqa: BLE001, S112  one that needs more than patterns
                continue
            for entity in made.supported_entities:
                if made.supported_language == "en" and entity not in _ON_THE_NETWORK:
                    found.setdefault(entity, []).append(made)
    return found
