"""`http.client`, and with it urllib, urllib3, requests and botocore: the head of an answer, in its order.

Bodies are read as HTTP framed them, so threads see the same pieces; what they do with them has the order of the locks
and queues they go through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.transports import passed

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.patches import Patches


def patch(patches: Patches, module: Any) -> None:
    """Patch `http.client`, just imported."""
    patches.wrap(module.HTTPConnection, "send", _to_be_ordered)
    patches.wrap(module.HTTPConnection, "getresponse", _ordered)


def _to_be_ordered(real: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, *args: Any, **options: Any) -> Any:
        if active.is_live():
            return real(self, *args, **options)
        token = active.orders.set(True)
        try:
            return real(self, *args, **options)
        finally:
            active.orders.reset(token)

    return send


def _ordered(real: Callable[..., Any]) -> Callable[..., Any]:
    def getresponse(self: Any, *args: Any, **options: Any) -> Any:
        name = f"{self._method} {self._tunnel_host or self.host}"
        return passed.call(name, lambda: real(self, *args, **options))

    return getresponse
