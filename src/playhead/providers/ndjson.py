"""JSON values sent one after the other: one a line (NDJSON, as Ollama streams) or as the elements of one array (as Gemini
streams without `alt=sse`). Both decoders cut raw text; they do not judge whether it is JSON."""

from __future__ import annotations

import re

_MARK = re.compile(rb'["{}\[\],]')
_IN_STRING = re.compile(rb'["\\]')


class LineDecoder:
    """Lines that are not blank, without their ends. Feed it bytes split anywhere."""

    def __init__(self) -> None:
        self._line = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        *whole, rest = data.split(b"\n")
        lines = []
        for piece in whole:
            lines.append(bytes(self._line + piece).strip())
            self._line.clear()
        self._line += rest
        return [line for line in lines if line]

    def end(self) -> list[bytes]:
        """The last line, when no line end closed it."""
        line = bytes(self._line).strip()
        self._line.clear()
        return [line] if line else []


class ElementDecoder:
    """Elements of a JSON array, while it is still being written. Feed it bytes split anywhere."""

    def __init__(self) -> None:
        self._element = bytearray()
        self._depth = 0
        self._in_string = self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that `data` completes."""
        elements: list[bytes] = []
        start = at = 0
        while found := self._next_mark(data, at):
            mark, at = found[0], found.end()
            if mark in b"{[":
                self._depth += 1
                if self._depth == 1:
                    self._element.clear()
                    start = at
                continue
            if self._depth == 1:
                self._element += data[start : at - 1]
                elements += self.end()
                start = at
            if mark != b"," and self._depth:
                self._depth -= 1
        if self._depth:
            self._element += data[start:]
        return elements

    def _next_mark(self, data: bytes, at: int) -> re.Match[bytes] | None:
        """The next bracket or comma from `at` on that is not inside a string."""
        while at < len(data):
            if self._in_string:
                at = self._string_end(data, at)
                continue
            found = _MARK.search(data, at)
            if found is None or found[0] != b'"':
                return found
            self._in_string, at = True, found.end()
        return None

    def _string_end(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _IN_STRING.search(data, at)
        if found is None:
            return len(data)
        self._in_string, self._escaped = found[0] != b'"', found[0] == b"\\"
        return found.end()

    def end(self) -> list[bytes]:
        """What was being written when the stream ended."""
        element = bytes(self._element).strip()
        self._element.clear()
        return [element] if element else []
