"""The question of a held sweep and its answer, as they stand in a ConfigMap of the namespace."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from fleet.errors import PeerRefused
from fleet.kube.client import KubeClient
from fleet.operator.sweep import HeldSweep

NAME = "fleet-sweep"
_APPROVED = "approved"


@dataclass(frozen=True, slots=True)
class Question:
    """What `fleet approve-sweep` shows."""

    id: str
    count: int
    reason: str
    examples: tuple[str, ...]

    def as_json(self) -> Mapping[str, object]:
        return asdict(self)


async def ask(kube: KubeClient, held: HeldSweep | None) -> None:
    """Put the question; None takes it back.

    A yes to another question goes: the same keys may come to be unwanted again, and then somebody is asked again.
    """
    question = held or HeldSweep("", 0, (), "nothing waits")
    standing = await kube.config_map(NAME) or {}
    if held is None and not (standing.get("id") or standing.get(_APPROVED)):
        return
    data: dict[str, str | None] = {
        "id": question.id,
        "count": str(question.count),
        "reason": question.reason,
        "examples": json.dumps(question.examples),
    }
    if standing.get("id") != question.id:
        data[_APPROVED] = None
    await kube.write_config_map(NAME, data)


async def read(kube: KubeClient) -> Question | None:
    """The question that stands, if any. Raises PeerRefused if nobody could have written it so."""
    data = await kube.config_map(NAME) or {}
    if not data.get("id"):
        return None
    try:
        examples = tuple(str(key) for key in json.loads(data["examples"]))
        return Question(data["id"], int(data["count"]), data["reason"], examples)
    except (KeyError, ValueError, TypeError) as e:
        raise PeerRefused(f"ConfigMap {NAME} in namespace {kube.namespace} is not a sweep's question: {e!r}") from e


async def approve(kube: KubeClient, question: Question) -> None:
    """Say yes to exactly this question."""
    await kube.write_config_map(NAME, {_APPROVED: question.id})


async def approved(kube: KubeClient) -> str | None:
    """The id that was said yes to last."""
    return (await kube.config_map(NAME) or {}).get(_APPROVED)
