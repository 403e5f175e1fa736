"""Request bodies, each stored as what is new in it.

An agent sends its whole conversation again at every step. A body is stored as *operations* that make it out of an
earlier body of its session (its *base*), of what earlier ones brought, and of its own *literal*: the bytes nobody sent
before. Nothing needs to be JSON, and what is read back is exact by construction. docs/decisions/007 has the reasons.

- `form`: the stored form, to the byte
- `spans`: what two bodies have in common
- `encoder`: bodies to stored forms, in the recorder
- `reader`: stored forms to bodies, of one at a time or of a whole session
"""

from playhead.journal.bodies.encoder import Encoder
from playhead.journal.bodies.form import Extent, joined, split
from playhead.journal.bodies.reader import Bodies

__all__ = ["Bodies", "Encoder", "Extent", "joined", "split"]
