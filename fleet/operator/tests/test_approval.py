"""The question in the ConfigMap and its answer: put, read, taken back."""

import pytest

from fleet.errors import PeerRefused
from fleet.operator import approval
from fleet.operator.approval import Question
from fleet.operator.sweep import HeldSweep
from fleet.operator.tests.peers import Kube

HELD = HeldSweep("3f2a9c01b7de", 2, ("d1.web", "d2.web"), "2 of 2 keys would go")
QUESTION = Question("3f2a9c01b7de", 2, "2 of 2 keys would go", ("d1.web", "d2.web"))


@pytest.fixture
def kube() -> Kube:
    return Kube()


@pytest.mark.rule("B4")
async def test_a_question_is_read_as_it_was_put(kube: Kube) -> None:
    """Id, count, reason and examples; nothing was said yes to."""
    assert await approval.read(kube) is None
    await approval.ask(kube, HELD)
    assert await approval.read(kube) == QUESTION
    assert await approval.approved(kube) is None


@pytest.mark.rule("B3")
async def test_a_yes_names_the_question(kube: Kube) -> None:
    """The id that was shown, and nothing else of the ConfigMap is touched."""
    await approval.ask(kube, HELD)
    await approval.approve(kube, QUESTION)
    assert await approval.approved(kube) == HELD.id
    assert await approval.read(kube) == QUESTION


@pytest.mark.rule("B3")
async def test_asking_the_same_again_keeps_the_yes(kube: Kube) -> None:
    """A restart, or other numbers in the reason: the id says that it is the same set."""
    await approval.ask(kube, HELD)
    await approval.approve(kube, QUESTION)
    await approval.ask(kube, HeldSweep(HELD.id, HELD.count, HELD.examples, "2 of 40 keys would go"))
    assert await approval.approved(kube) == HELD.id


@pytest.mark.rule("B3")
@pytest.mark.parametrize("other", [None, HeldSweep("b7de3f2a9c01", 1, ("d1.web",), "one")])
async def test_another_question_takes_the_yes_away(kube: Kube, other: HeldSweep | None) -> None:
    """Also none: the same set may wait again, and then somebody is asked again."""
    await approval.ask(kube, HELD)
    await approval.approve(kube, QUESTION)
    await approval.ask(kube, other)
    assert await approval.approved(kube) is None


async def test_a_question_that_is_taken_back_does_not_stand(kube: Kube) -> None:
    """Nothing waits then."""
    await approval.ask(kube, HELD)
    await approval.ask(kube, None)
    assert await approval.read(kube) is None


@pytest.mark.rule("S12")
@pytest.mark.parametrize("texts", [None, {}, {"id": "", "others": "x"}])
async def test_what_does_not_stand_is_not_taken_back(kube: Kube, texts: dict[str, str] | None) -> None:
    """No ConfigMap is made, and none is written, only to say that nothing waits."""
    if texts is not None:
        kube.config_maps[approval.NAME] = texts
    await approval.ask(kube, None)
    assert kube.verbs("write") == []


async def test_a_yes_without_a_question_is_taken_away(kube: Kube) -> None:
    """Somebody wrote it by hand: it must not count for what may come."""
    kube.config_maps[approval.NAME] = {"approved": HELD.id}
    await approval.ask(kube, None)
    assert await approval.approved(kube) is None


@pytest.mark.parametrize(
    "broken",
    [{"examples": "["}, {"examples": "3"}, {"count": "many"}, {"reason": None}, {"examples": None}, {"count": None}],
)
async def test_a_question_that_nobody_could_have_put(kube: Kube, broken: dict[str, str | None]) -> None:
    """One line that names the ConfigMap and the namespace, and no crash."""
    await approval.ask(kube, HELD)
    await kube.write_config_map(approval.NAME, broken)
    with pytest.raises(PeerRefused, match="ConfigMap fleet-sweep in namespace ns is not a sweep's question"):
        await approval.read(kube)


def test_a_question_as_json() -> None:
    """What `fleet approve-sweep --json` prints."""
    assert QUESTION.as_json() == {
        "id": HELD.id,
        "count": 2,
        "reason": HELD.reason,
        "examples": ("d1.web", "d2.web"),
    }
