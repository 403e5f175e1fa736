"""Fetch the published recordings the tests run on: `python scripts/fetch_recordings.py DEST`.

They are vcr cassettes inside the source distributions of the packages below: traffic of real clients with real
providers (files named `*_conformance.yaml` are hand-made by their authors). pip brings each source distribution from
wherever it is set up to look; only cassettes and the licence are kept, under DEST/<package>-<version>/. Running it again
fetches what is missing and nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """A package at one version, the licence it ships, and which of its members (below its top folder) are cassettes."""

    package: str
    version: str
    licence: str
    cassettes: str

    @property
    def folder(self) -> str:
        """Where it lies below DEST."""
        return f"{self.package}-{self.version}"


SOURCES = (
    Source("opentelemetry-instrumentation-genai-openai", "1.3b0", "Apache-2.0", r"tests/cassettes/.*\.yaml"),
    Source("opentelemetry-instrumentation-genai-anthropic", "1.3b0", "Apache-2.0", r"tests/cassettes/.*\.yaml"),
    Source("opentelemetry-instrumentation-botocore", "0.66b2", "Apache-2.0", r"tests/cassettes/.*\.yaml"),
    Source("opentelemetry-instrumentation-genai-bedrock", "1.3b0", "Apache-2.0", r"tests/cassettes/.*\.yaml"),
    Source("opentelemetry-instrumentation-google-genai", "1.3b0", "Apache-2.0", r"tests/(\w+/)?cassettes/.*\.yaml"),
    Source("langsmith", "0.14.17", "MIT", r"tests/(integration_tests/)?cassettes/.*\.yaml"),
    Source("langchain-openai", "1.7.4", "MIT", r"tests/cassettes/.*\.yaml\.gz"),
    Source("langchain-anthropic", "1.7.10", "MIT", r"tests/cassettes/.*\.yaml\.gz"),
    Source("vcrpy", "9.4.2", "MIT", r"tests/(fixtures/wild|integration/cassettes)/.*\.ya?ml"),
)


def main(arguments: list[str]) -> int:
    """Bring every source into the folder named by the only argument; 0 when all are there."""
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    destination = Path(arguments[0]).resolve()
    destination.mkdir(parents=True, exist_ok=True)
    for source in SOURCES:
        folder = destination / source.folder
        seen = "present"
        if not folder.is_dir():
            seen = "fetched"
            try:
                fetch(source, folder)
            except (subprocess.CalledProcessError, tarfile.TarError, OSError) as error:
                sys.stderr.write(
                    f"{source.folder}: not fetched\n  seen: {error}\n  next: run this again once pip can install packages here\n"
                )
                return 1
        count = sum(1 for path in folder.rglob("*") if path.suffix in {".yaml", ".yml", ".gz"})
        sys.stdout.write(f"{source.folder}: {count} cassettes, {source.licence}, {seen}\n")
    return 0


def fetch(source: Source, folder: Path) -> None:
    """Put the cassettes of one source distribution into `folder`, which appears only when complete."""
    with tempfile.TemporaryDirectory(prefix="recordings-", dir=folder.parent) as scratch:
        # Only this package is asked for in source form, so that pip may take its build tools as wheels.
        pip = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        pip += ["--no-binary", source.package, "--dest", scratch, f"{source.package}=={source.version}"]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        archive = next(Path(scratch).glob("*.tar.gz"))
        ready = Path(scratch) / "ready"
        ready.mkdir()
        with tarfile.open(archive) as tar:
            for member in tar:
                inside = member.name.partition("/")[2]
                taken = re.fullmatch(source.cassettes, inside) or re.fullmatch(r"LICENSE[\w.-]*", inside)
                data = tar.extractfile(member) if taken and ".." not in inside and member.isfile() else None
                if data is not None:  # by hand: Python 3.11.2 of Debian knows no extraction filter
                    (ready / inside).parent.mkdir(parents=True, exist_ok=True)
                    (ready / inside).write_bytes(data.read())
        ready.rename(folder)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
