"""What is checked once at the start: bounded, one clear line for each thing that is wrong."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fleet.bus.buckets import Identity
from fleet.errors import PeerAway, PeerError, PeerRefused
from fleet.operator import startup
from fleet.operator.startup import NEEDED_ACCESS, check_access, check_cluster, until
from fleet.operator.tests.peers import Call, Kube
from fleet.operator.tests.turns import DEADLINE_S, Clock, turn


async def forever() -> str:
    await asyncio.Event().wait()
    return ""


def waiting(attempt: Callable[[], Awaitable[str]], trouble: str | None = None) -> "asyncio.Task[str]":
    deadline = asyncio.get_running_loop().time() + 30

    async def wait() -> str:
        return await until(deadline, 30.0, "peer", attempt, lambda: trouble)

    return asyncio.create_task(wait())


@pytest.mark.rule("P2")
async def test_a_peer_that_comes_is_waited_for(clock: Clock) -> None:
    """Away for some attempts, then there: its answer."""
    attempts = 0

    async def attempt() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise PeerAway("refused")
        return "here"

    task = waiting(attempt)
    for _ in range(4):
        await clock.go_on(0.6)
    assert await task == "here"
    assert attempts == 4


async def test_a_peer_that_stays_away_is_given_up(clock: Clock) -> None:
    """Attempts go on until the deadline; the line has how long it was, and the last reason."""
    attempts = 0

    async def attempt() -> str:
        nonlocal attempts
        attempts += 1
        raise PeerAway(f"refused {attempts}")

    task = waiting(attempt)
    for _ in range(60):
        await clock.go_on(0.6)
    with pytest.raises(PeerAway) as given_up:
        await task
    assert attempts > 10
    assert str(given_up.value) == f"peer: gave up after 30 s: refused {attempts}"


@pytest.mark.parametrize(
    ("trouble", "reason"), [(None, "no answer"), ("permissions violation", "permissions violation")]
)
async def test_a_peer_that_hangs_is_given_up_too(clock: Clock, trouble: str | None, reason: str) -> None:
    """A request that is never answered does not outlast the deadline; what NATS said meanwhile is the reason."""
    task = waiting(forever, trouble)
    await turn()
    await clock.go_on(31)
    with pytest.raises(PeerAway) as given_up:
        await task
    assert str(given_up.value) == f"peer: gave up after 30 s: {reason}"


async def test_a_refusal_ends_the_wait_at_once() -> None:
    """A definite no is not asked again."""

    async def refuse() -> str:
        raise PeerRefused("forbidden")

    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(PeerRefused, match="forbidden"):
            await waiting(refuse)


async def test_every_right_is_asked_for_once() -> None:
    """Then both resources are touched, and the cluster says who it is."""
    kube = Kube()
    assert await check_access(kube) == "cluster-uid"
    assert sorted(call.what for call in kube.verbs("review")) == sorted(str(access) for access in NEEDED_ACCESS)
    assert kube.calls[len(NEEDED_ACCESS) :] == [
        Call("list", "deployments"),
        Call("list", "devices"),
        Call("get", "namespaces/kube-system"),
    ]
    assert {call.verb for call in kube.calls} == {"review", "list", "get"}


async def test_missing_rights_are_all_named() -> None:
    """One line, with the server, the namespace and where the list of rights is."""
    kube = Kube()
    kube.denied = {"create devices", "patch deployments/status"}
    with pytest.raises(PeerRefused) as refusal:
        await check_access(kube)
    assert str(refusal.value) == (
        "Kubernetes API at https://kube.example: this user may not patch deployments/status, create devices in "
        "namespace ns; give it the rights that docs/contract.md lists"
    )


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        ("get deployments", "check the server and the credentials in KUBECONFIG"),
        ("devices", "are the CRDs installed? `fleet crds --apply` installs them"),
    ],
)
async def test_a_refusal_says_what_to_do(what: str, hint: str) -> None:
    """Bad credentials and missing CRDs are different things to mend."""
    kube = Kube()
    kube.refuse = lambda call: PeerRefused("no") if call.what == what else None
    with pytest.raises(PeerRefused, match="no; ") as refusal:
        await check_access(kube)
    assert hint in str(refusal.value)


@pytest.mark.parametrize("what", ["watch devices", "devices", "namespaces/kube-system"])
async def test_a_server_that_is_away_is_no_refusal(what: str) -> None:
    """That is to be tried again, so it comes out as it is."""
    error: PeerError = PeerAway("503")
    kube = Kube()
    kube.refuse = lambda call: error if call.what == what else None
    with pytest.raises(PeerAway, match=r"^503$"):
        await check_access(kube)


def test_the_rights_are_those_of_the_contract() -> None:
    """No verb more than docs/contract.md grants: nothing is deleted, and no status of a Device is written."""
    granted: dict[str, set[str]] = {}
    for access in startup.NEEDED_ACCESS:
        granted.setdefault(str(access).removeprefix(f"{access.verb} "), set()).add(access.verb)
    assert granted == {
        "deployments": {"get", "list", "watch", "patch"},
        "deployments/status": {"patch"},
        "devices": {"get", "list", "watch", "patch", "create"},
        "events": {"create"},
        "configmaps": {"get", "create", "patch"},
        "customresourcedefinitions deployments.fleet.fleetproof.dev": {"get"},
        "customresourcedefinitions devices.fleet.fleetproof.dev": {"get"},
    }


@pytest.mark.rule("R7")
def test_another_cluster_behind_the_same_address() -> None:
    """One line says which cluster answers and whose the buckets are."""
    identity = Identity("cluster-a", "fleet")
    check_cluster("cluster-a", identity)
    with pytest.raises(PeerRefused, match="cluster cluster-b now; the buckets belong to namespace fleet of cluster cl"):
        check_cluster("cluster-b", identity)
