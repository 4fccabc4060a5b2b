"""A refusal is reported under the generation that was refused, with the ids of what runs of the one before."""

from dataclasses import replace

from fleet.agent.worker import Workers
from fleet.wire import DeploymentName, Owner
from scenarios.defects.defect import Defect


def _patch() -> None:
    refuse = Workers.refuse

    def as_if_taken(self: Workers, name: DeploymentName, reason: str) -> None:
        each = self._deployments.get(name)
        if each is not None and each.desired is not None:
            owner = each.desired.owner
            each.desired = replace(each.desired, owner=Owner(owner.uid, owner.generation + 1))
        refuse(self, name, reason)

    Workers.refuse = as_if_taken  # type: ignore[method-assign] # the point of a defect


REFUSED_FOR_THE_NEXT = Defect(
    name="refused-for-the-next",
    shape="bad-desired",
    case="unknown-field",
    check="said-why",
    story="The report of a refusal named the generation that nobody had understood. Whoever looked saw the containers "
    "of the old one listed under the new one, and took the roll for half done.",
    patch=_patch,
    part="agent",
)
