"""An answer of 5xx is taken for something unexpected, and ends the process."""

from fleet.errors import PeerError
from fleet.kube import transport
from scenarios.defects.defect import Defect

_SERVER_ERROR = 500


def _patch() -> None:
    sound = transport._error

    def error(what: str, status: int, body: bytes) -> PeerError:
        if status >= _SERVER_ERROR:
            raise RuntimeError(f"{what}: {status}")
        return sound(what, status, body)

    transport._error = error


EXITS_ON_5XX = Defect(
    name="exits-on-5xx",
    shape="apiserver-away-mid-rebuild",
    case="503",
    check="no-crash",
    story="Any error of a list ended the watcher, and the watcher's end the process: restarts were to help. While the "
    "API server was being upgraded the pod went into its back-off, and stayed there for minutes after all was well.",
    patch=_patch,
)
