"""Runs in the operator's process, before the operator: lets the HTTP library raise what nobody expects.

Python imports a module of this name by itself when it finds one on PYTHONPATH. The program knows nothing of it, and it
knows nothing of the program: it stands between that and the HTTP library. It is armed by a file, whose name is in
FLEETPROOF_PANIC; the file says at which matching request to raise, counted from when it appeared.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_STATUS_PATH = re.compile(r"/deployments/[^/]+/status$")


class InjectedPanicError(Exception):
    """What nobody expects: no error of the library, of the system or of the program."""


def install(armed_by: Path) -> None:
    """Patch the library; `armed_by` holds the ordinal of the request, and gets a brother `.raised` when it is met."""
    # Imported here: a program without the library is left alone.
    import aiohttp  # noqa: PLC0415 - see above

    # Its one entry for all requests, whatever the program calls.
    sound = aiohttp.ClientSession._request  # noqa: SLF001 - see above
    raised = armed_by.with_suffix(".raised")
    seen = 0

    def due(method: str, url: str) -> bool:
        nonlocal seen
        if method != "PATCH" or not _STATUS_PATH.search(url) or raised.exists() or not armed_by.exists():
            return False
        seen += 1
        if seen != int(armed_by.read_text()):
            return False
        raised.write_text(f"pid {os.getpid()} at status patch {seen}: {method} {url}")
        return True

    async def request(self: "ClientSession", method: str, url: object, **options: object) -> "ClientResponse":
        if due(method, str(url)):
            raise InjectedPanicError(f"injected at status patch {seen}")
        return await sound(self, method, url, **options)  # type: ignore[arg-type] # passed on as it came

    aiohttp.ClientSession._request = request  # type: ignore[method-assign, assignment] # noqa: SLF001 - the point


if "FLEETPROOF_PANIC" in os.environ:
    install(Path(os.environ["FLEETPROOF_PANIC"]))
