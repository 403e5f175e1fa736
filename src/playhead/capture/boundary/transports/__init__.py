"""HTTP clients on a tape: the wire records, matches and answers their requests; here an answer gets its place in the order.

A request is a call that is *passed*: its real work runs in a replay too, against the player, and what it brings is let go
when the recorded one was. Clients see the body in the pieces in which it was recorded, however the network cut it.
One file for each library, patched when it is imported.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches

_FILES = {
    "http.client": "http_client",
    "websockets.asyncio.client": "websockets_",
    "websockets.legacy.client": "websockets_.patch_legacy",
    "websockets.sync.client": "websockets_sync",
    "urllib3.connection": "http_client.patch_urllib3",
    "httpx._transports.default": "httpx_",
    "httpx2._transports.default": "httpx_",
    "aiohttp.client": "aiohttp_",
    "aiohttp.client_ws": "aiohttp_.patch_websockets",
    "aiohttp.client_proto": "aiohttp_.patch_kept",
    "aiohttp.connector": "aiohttp_.patch_connector",
    **{
        f"{library}.{half}.{module}": f"httpcore_.{function}"
        for library in ("httpcore", "httpcore2")
        for half in ("_sync", "_async")
        for module, function in (
            ("connection", "patch"),
            ("http11", "patch_kept"),
            ("http2", "patch_kept"),
            ("socks_proxy", "patch_socks"),
        )
    },
}
"""Which file patches what, by `patch` or the function that is named."""


def install(patches: Patches, when_imported: Any) -> None:
    """Have each client patched as soon as it has been imported."""
    for module, file in _FILES.items():
        when_imported(module, _patching(file, patches))


def _patching(file: str, patches: Patches) -> Callable[[Any], None]:
    def came(module: Any) -> None:
        from importlib import import_module

        name, _, function = file.partition(".")
        try:
            getattr(import_module(f"{__name__}.{name}"), function or "patch")(patches, module)
        except (AttributeError, KeyError) as missing:  # not the library that is known here; its import must not fail
            from playhead.capture.boundary import active

            active.say(
                f"{module.__name__} is another than is known here ({missing}): its calls have no order of their own"
            )

    return came
