"""What is taken is on disk before it is ordered; what may be a step back is confirmed; a disk that is full orders none.

The disk is a real one; orders are written down.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.agent.desired import NoValue, Word
from fleet.agent.desk import Desk
from fleet.agent.inbox import Heard, How
from fleet.agent.layout import Layout
from fleet.agent.store import Kept, Store
from fleet.errors import ArtifactError
from fleet.wire import DeploymentName, DesiredState, Owner, Score, Service, deployment_name

WEB = deployment_name("web")
ONE = Score((Service("one", "i.example/web"),))


def word(generation: int, uid: str = "uid") -> bytes:
    return DesiredState(Owner(uid, generation), ONE).encode()


class Seen:
    """Orders as they are given, each with what a new process would find on the disk at that moment."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.store = Store(self.layout)
        self.orders: list[tuple[str, object]] = []
        self.on_disk: list[Kept | None] = []
        self.looks = 0
        self.leader: Word | None = NoValue.ABSENT
        self.asked = 0
        self.desk = Desk(self.store, self, confirm=self._confirm, look_again=self._look_again)

    def set(self, name: DeploymentName, desired: DesiredState | None) -> None:
        self._note(name, "delete" if desired is None else "run", None if desired is None else desired.owner.generation)

    def refuse(self, name: DeploymentName, reason: str) -> None:
        self._note(name, "refuse", reason)

    async def tell(self, said: Word, how: How = How.TOLD) -> None:
        await self.desk.take(Heard(WEB, said, how))

    def _note(self, name: DeploymentName, what: str, of: object) -> None:
        assert name == WEB
        self.orders.append((what, of))
        self.on_disk.append(Store(self.layout).load().kept.get(WEB))

    async def _confirm(self, name: DeploymentName) -> Word | None:
        assert name == WEB
        self.asked += 1
        return self.leader

    def _look_again(self) -> None:
        self.looks += 1


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path)


@pytest.mark.rule("A14", "A18")
async def test_it_is_on_disk_before_it_is_ordered(seen: Seen) -> None:
    """The first word and a higher generation, without a question."""
    for generation in (1, 2):
        await seen.tell(word(generation))
        assert seen.orders[-1] == ("run", generation)
        assert seen.on_disk[-1] == Kept(word(generation))
    assert seen.asked == 0


@pytest.mark.rule("A15")
@pytest.mark.parametrize("said", [NoValue.MARKER, word(2), word(9, uid="other")], ids=["marker", "lower", "other uid"])
async def test_a_step_back_is_the_leaders_word(seen: Seen, said: Word) -> None:
    """While nobody can say, and if it is not what is stored, all goes on; then exactly what is stored is ordered."""
    await seen.tell(word(3))
    for leader in (None, NoValue.ABSENT, word(3)):
        seen.leader = leader
        await seen.tell(said)
    assert seen.orders == [("run", 3)]
    assert seen.asked == 3
    seen.leader = said
    await seen.tell(said)
    assert len(seen.orders) == 2
    assert seen.on_disk[-1] == (Kept(deleted=True) if said is NoValue.MARKER else Kept(desired=said))  # type: ignore[arg-type] # a word that is no marker is bytes


@pytest.mark.rule("A17")
async def test_what_cannot_be_understood_changes_nothing_on_disk(seen: Seen) -> None:
    """It is said of what is held, and only then; the last good comes back after a start."""
    await seen.tell(b"{")
    assert seen.orders == []
    await seen.tell(word(1))
    await seen.tell(word(2)[:-1] + b',"surprise":1}')
    assert seen.orders == [("run", 1), ("refuse", "'surprise': unknown field")]
    assert seen.on_disk[-1] == Kept(word(1))


@pytest.mark.rule("A18")
@pytest.mark.parametrize("said", [word(2), NoValue.MARKER], ids=["value", "marker"])
async def test_a_full_disk_orders_nothing(seen: Seen, said: Word, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs goes on, and all is read again; with room it is taken."""
    await seen.tell(word(1))
    seen.leader = said

    def full(*_: object) -> None:
        raise ArtifactError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep_desired", full)
        patch.setattr(Store, "keep_deleted", full)
        await seen.tell(said)
    assert (seen.orders, seen.looks) == ([("run", 1)], 1)
    await seen.tell(said)
    assert len(seen.orders) == 2


@pytest.mark.rule("A18", "A19")
@pytest.mark.parametrize(
    ("keep", "order"),
    [
        (lambda store: store.keep_desired(WEB, word(4)), ("run", 4)),
        (lambda store: store.keep_deleted(WEB), ("delete", None)),
    ],
    ids=["desired", "deleted"],
)
def test_a_start_goes_on_with_what_the_disk_holds(
    seen: Seen, keep: Callable[[Store], None], order: tuple[str, object]
) -> None:
    """Before anybody says a word; a deletion that was cut short is done again."""
    keep(seen.store)
    seen.desk.resume(Store(seen.layout).load().kept)
    assert seen.orders == [order]


@pytest.mark.rule("A18")
async def test_an_unreadable_file_orders_nothing_until_somebody_tells(seen: Seen) -> None:
    """Its deployment is as one that was never heard of: what runs of it is left alone."""
    seen.store.keep_desired(WEB, word(4))
    path = seen.layout.desired(WEB)
    path.write_bytes(path.read_bytes()[:-1])
    loaded = seen.store.load()
    seen.desk.resume(loaded.kept)
    assert len(loaded.troubles) == 1
    assert seen.orders == []
    await seen.tell(word(4), How.READ)
    assert seen.orders == [("run", 4)]


@pytest.mark.rule("A19")
async def test_a_deletion_is_forgotten_last(seen: Seen) -> None:
    """The tombstone stays on disk until it is said that nothing is left; a marker that is read again is no news."""
    await seen.tell(word(1))
    seen.leader = NoValue.MARKER
    await seen.tell(NoValue.MARKER)
    assert seen.orders[-1] == ("delete", None)
    assert Store(seen.layout).load().kept == {WEB: Kept(deleted=True)}
    await seen.desk.forget(WEB)
    assert Store(seen.layout).load().kept == {}
    await seen.tell(NoValue.MARKER, How.READ)
    assert len(seen.orders) == 2


@pytest.mark.rule("A19")
async def test_what_is_wanted_again_is_not_forgotten(seen: Seen) -> None:
    """It came back while the old one was torn down."""
    await seen.tell(word(1))
    seen.leader = NoValue.MARKER
    await seen.tell(NoValue.MARKER)
    seen.leader = word(1, uid="next")
    await seen.tell(word(1, uid="next"))
    await seen.desk.forget(WEB)
    assert Store(seen.layout).load().kept == {WEB: Kept(word(1, uid="next"))}
