"""The two forms of a cassette as bytes: text, and compact, which is the same text compressed.

    text     the lines of seal.py
    compact  8 bytes "PLAYCASS" | u32 format, little-endian | one zstd frame (RFC 8878) that holds the text

Either may be encrypted as a whole in the age format (see locking.py). A file says by its first bytes what it is.
"""

from __future__ import annotations

from struct import Struct

from playhead.cassette.limits import MAX_TEXT, UnfoldsTooFar
from playhead.cassette.writing import FORMAT

MAGIC = b"PLAYCASS"
TEXT_BEGIN = b'{"cassette":'
_VERSION = Struct("<I")
_WINDOW_LOG = 27  # 128 MiB: how far back a repetition is found, and what reading one costs at most
_LEVEL = 19


class OtherFormat(ValueError):
    """A cassette of a format that is not read here."""


class Broken(ValueError):
    """A compact form that does not decompress."""


def is_cassette(start: bytes) -> bool:
    """Whether a file that begins so is a cassette, not encrypted."""
    return start.startswith((MAGIC, TEXT_BEGIN))


def packed(data: bytes) -> bytes:
    """The compact form of a text form."""
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, source_size=len(data), enable_ldm=True, window_log=min(_WINDOW_LOG, max(10, len(data).bit_length()))
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    return MAGIC + _VERSION.pack(FORMAT) + compressor.compress(data)


def unpacked(data: bytes) -> bytes:
    """The text form of either form. Raises OtherFormat, Broken, UnfoldsTooFar."""
    if not data.startswith(MAGIC):
        if len(data) > MAX_TEXT:
            raise UnfoldsTooFar(f"a cassette of {len(data)} bytes")
        return data
    start = len(MAGIC) + _VERSION.size
    if len(data) < start:
        raise Broken("cut short")
    version = _VERSION.unpack_from(data, len(MAGIC))[0]
    if version != FORMAT:
        raise OtherFormat(str(version))
    import zstandard

    frame = memoryview(data)[start:]
    try:
        # the frame's own header rules what is allocated, so it is asked first
        size = zstandard.frame_content_size(frame)
        if size > MAX_TEXT:
            raise UnfoldsTooFar(f"a cassette that unpacks to {size} bytes")
        if size < 0:
            raise Broken("its frame does not say its size")
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << _WINDOW_LOG)
        text: bytes = decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Broken(str(error)) from None
    return text
