"""What a word about a deployment's desired state means. Pure.

Words arrive late, twice, out of order, or from a server that lags. What steps forward is taken at once. Whatever might
be a step back (a deletion, another Deployment of the same name, an older or an equal generation) is taken only if the
stream's leader confirms that it is stored. Silence and absence say nothing: they never take anything away.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from fleet.errors import WireError
from fleet.wire import DesiredState, decode_desired_state


class NoValue(Enum):
    """What may stand in the place of a value."""

    MARKER = "a delete marker"
    ABSENT = "no such key"


Word: TypeAlias = bytes | NoValue
"""What a message brought or a read found."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the agent acts on: a value, and its bytes as they came. `refused`: a later word was refused since."""

    data: bytes
    desired: DesiredState
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A confirmed deletion, being carried out or done: its marker is no news, and a value may be an older one."""


Standing: TypeAlias = Held | Tombstone | None
"""None: nothing was heard of this deployment in this life of the agent or kept from an earlier one."""


@dataclass(frozen=True, slots=True)
class Take:
    """Act on this from now on; keep its bytes first."""

    held: Held


@dataclass(frozen=True, slots=True)
class Refuse:
    """It cannot be understood: say so, and keep what is held."""

    reason: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """Ask the stream's leader, and judge its answer with `judge_confirmed`."""


@dataclass(frozen=True, slots=True)
class TearDown:
    """Keep a tombstone first, then stop and remove every container of the deployment."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """It says nothing new."""


Verdict: TypeAlias = Take | Refuse | Confirm | Ignore
Confirmed: TypeAlias = Take | Refuse | TearDown | Ignore


def judge(standing: Standing, heard: Word) -> Verdict:
    """What a message, or a read that a lagging server may have answered, asks for."""
    verdict = judge_confirmed(standing, heard)
    match verdict:
        case TearDown():
            return Confirm()
        case Take(held) if not _is_forward(standing, held):
            return Confirm()
    return verdict


def judge_confirmed(standing: Standing, read: Word) -> Confirmed:
    """What is to be done, `read` being what the stream's leader has stored.

    A marker is obeyed even if nothing is held: containers may have outlived the disk that told of them.
    """
    if read is NoValue.ABSENT:
        return Ignore()
    if read is NoValue.MARKER:
        return Ignore() if isinstance(standing, Tombstone) else TearDown()
    if isinstance(standing, Held) and standing.data == read and not standing.refused:
        return Ignore()
    try:
        return Take(Held(read, decode_desired_state(read)))
    except WireError as e:
        return Refuse(str(e))


def _is_forward(standing: Standing, heard: Held) -> bool:
    if not isinstance(standing, Held):
        return standing is None
    held, new = standing.desired.owner, heard.desired.owner
    return standing.data == heard.data or (held.uid == new.uid and held.generation < new.generation)
