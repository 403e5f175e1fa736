"""How far a cassette may unfold. Everything is bounded before it is allocated: a cassette is hostile input."""

from __future__ import annotations

MAX_TEXT = 256 << 20  # bytes of the text form, which is what the compact form decompresses to
MAX_LINE = 128 << 20
MAX_LINES = 2_000_000
MAX_EDITED = 20_000  # lines that are not as sealed: more than somebody edits, and half a second to look at
MEMORY = 1 << 30  # bytes that everything decoded from one cassette may take, by estimate
MEMORY_FREE = 32 << 20  # of them, what any cassette may take
MEMORY_RATIO = 50  # and what it may take for each byte of its text; recordings need 4 to 15
_POINTER = 8
_CONTAINER = 64
_STRING = 56


class UnfoldsTooFar(ValueError):
    """A cassette that would take more memory than any recording of its size."""


class Budget:
    """Bytes that may still be allocated on behalf of one cassette."""

    __slots__ = ("left",)

    def __init__(self, text: int) -> None:
        """For a cassette of so many bytes of text."""
        self.left = min(MEMORY, MEMORY_FREE + MEMORY_RATIO * text)

    def take(self, size: int) -> None:
        """Raises UnfoldsTooFar when `size` bytes are not left."""
        self.left -= size
        if self.left < 0:
            raise UnfoldsTooFar("it unfolds to more memory than it may take")

    def pointers(self, count: int) -> None:
        """As `take`, for places in arrays."""
        self.take(count * _POINTER)

    def line(self, data: bytes) -> None:
        """As `take`, for a line of JSON before it is parsed: its text, and what each bracket, string and comma costs."""
        brackets = data.count(b"[") + data.count(b"{")
        self.take(
            len(data)
            + brackets * _CONTAINER
            + data.count(b'"') // 2 * _STRING
            + (data.count(b",") + data.count(b":")) * _POINTER
        )
