"""The product's error tree: one clear line each, mapped from library errors at the edge that met them.

FleetError
|- SettingsError      the environment or a file handed in is unusable: exit code 2, nothing was started
|- WireError          bytes that do not honour the wire contract
|- ArtifactError      a file is not the file it should be
|- PeerError          NATS or the Kubernetes API
   |- PeerAway        no answer; the same request may succeed later
   |- PeerRefused     a definite no: retrying the same request is pointless
   |- Conflict        a fenced write lost: somebody else wrote first
"""


class FleetError(Exception):
    """Any failure the product explains itself; `str()` is one line for a person: what, where, what to do."""


class SettingsError(FleetError):
    """A setting is missing or unusable."""


class WireError(FleetError):
    """Bytes or names that do not honour the wire contract (docs/contract.md)."""


class ArtifactError(FleetError):
    """A file's size or SHA-256 is not what was promised, or it could not be published."""


class PeerError(FleetError):
    """A NATS server or a Kubernetes API server did not do what was asked."""


class PeerAway(PeerError):  # noqa: N818 - names a state, as in `except PeerAway`
    """No usable answer: refused, reset, timed out, 429 or 5xx. Whether the request took effect is unknown."""


class PeerRefused(PeerError):  # noqa: N818 - likewise
    """A definite refusal (401, 403, 404, 422, a permissions violation): it had no effect."""


class NotFound(PeerRefused):
    """What the request names does not exist (404): it had no effect."""


class Conflict(PeerError):  # noqa: N818 - likewise
    """The expected revision or resourceVersion was no longer the latest: nothing was written."""


def crash_line(error: BaseException) -> str:
    """The first exception inside the groups of task groups, on one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
