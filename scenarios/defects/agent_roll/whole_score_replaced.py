"""A container belongs to the score as a whole: an edit of one service makes all of them anew."""

import hashlib
from dataclasses import replace

from fleet.agent import worker
from fleet.agent.model import ServiceSpec, spec_of
from fleet.agent.worker import Workers
from fleet.wire import DeploymentName, DesiredState, Lifecycle, Service
from scenarios.defects.defect import Defect


def _patch() -> None:
    sets = Workers.set
    whole = ""

    def of_whole(workers: Workers, name: DeploymentName, desired: DesiredState | None) -> None:
        nonlocal whole
        whole = "" if desired is None else repr(desired.score)
        sets(workers, name, desired)

    def spec(deployment: DeploymentName, service: Service, lifecycle: Lifecycle) -> ServiceSpec:
        digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
        return replace(spec_of(deployment, service, lifecycle), digest=digest)

    Workers.set = of_whole  # type: ignore[method-assign, assignment] # the point of a defect
    worker.spec_of = spec  # type: ignore[attr-defined] # the name that it imported, not the function


WHOLE_SCORE_REPLACED = Defect(
    name="whole-score-replaced",
    part="agent",
    shape="roll-forward",
    case="one-of-two",
    check="untouched",
    story="Whether a deployment had changed was asked of the bytes of its whole score. An edit of a sidecar's log "
    "level restarted the database beside it.",
    patch=_patch,
)
