"""Request bodies of a sealed file: their operations from the records, their literals from the ASKED stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playhead.core.events import EventKind
from playhead.journal.bodies.form import read_ops, split
from playhead.journal.bodies.reader import Bodies
from playhead.journal.frames import Kind

if TYPE_CHECKING:
    from playhead.journal.sealed import Sealed


def sealed_bodies(sealed: Sealed, segment: int) -> Bodies:
    """Bodies whose literals stay in the file. Their operations are to be put."""
    requests = sealed.requests(segment)

    def literal_of(number: int) -> bytes:
        request = requests[number]
        return sealed.file.read(Kind.ASKED, request.start, request.length)

    return Bodies(literal_of)


def operations(stored: bytes) -> bytes:
    """The operations of a body stored without its literal. Raises ValueError."""
    return split(stored)[0]


def bodies_for(sealed: Sealed, segment: int, number: int, ops: bytes) -> Bodies:
    """Bodies in which that of exchange `number`, with these operations, and those it is made of can be read; of all
    others it is known only how long their literals are. Raises ValueError when one of them is lost."""
    requests = sealed.requests(segment)
    known = {number: ops}
    at = number
    while at in requests:
        known[at] = sealed.flat(requests[at]) or known.get(at) or _ops_of(sealed, segment, at)
        base = read_ops(at, known[at]).base
        if not base or base not in requests or requests[base].position >= requests[at].position:
            break
        at = base
    bodies = sealed_bodies(sealed, segment)
    for request in requests.values():
        bodies.put_ops(request.number, known.get(request.number, b""), request.length)
    return bodies


def _ops_of(sealed: Sealed, segment: int, number: int) -> bytes:
    for block in sealed.exchange(number):
        if block.segment == segment:
            for placed in sealed.rows(block, stamps=False):
                head = placed.event.meta.get("head")
                if placed.event.kind is EventKind.REQUEST and type(head) is int and head >= 0:
                    return operations(placed.event.body[head:])
    raise ValueError(f"the body of exchange {number} is not at hand")
