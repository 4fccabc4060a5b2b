"""Patches against the history: each changed status once a tick, nothing else."""

from fleet.wire import DeploymentName, DeviceId, Pair, Phase
from harness.bench.flips import Stored
from harness.bench.patches import Patch, PatchCount, count_patches

APP, OTHER = DeploymentName("app"), DeploymentName("other")
LAG_S = 0.1


def report(at_s: float, phase: Phase, name: DeploymentName = APP) -> Stored:
    return Stored(Pair(DeviceId("d"), name), phase, at_s, at_s + 0.001)


def count(reports: list[Stored], patches: list[Patch]) -> PatchCount:
    return count_patches({APP: 5, OTHER: 2}, reports, patches, lag_s=LAG_S)


def test_a_patch_for_each_change_is_right() -> None:
    """Two ticks, two changes, two patches; the Deployment that nothing was reported of needs none."""
    found = count(
        [report(0.2, Phase.RUNNING), report(1.2, Phase.PENDING)],
        [Patch(APP, 1.0, 6), Patch(APP, 2.0, 5)],
    )
    assert (found.patches, found.changed_pairs, found.ticks, found.problems) == (2, 2, 2, ())


def test_a_patch_that_changes_nothing_is_one_too_many() -> None:
    """It counts as a patch and not as a change."""
    found = count([report(0.2, Phase.RUNNING)], [Patch(APP, 1.0, 6), Patch(OTHER, 1.0, 2)])
    assert (found.patches, found.changed_pairs) == (2, 1)
    assert "which it said already" in found.problems[0]


def test_a_change_that_a_tick_leaves_out_is_missed() -> None:
    """Another Deployment's patch shows that the tick was there."""
    found = count(
        [report(0.2, Phase.RUNNING), report(0.2, Phase.RUNNING, OTHER)], [Patch(OTHER, 1.0, 3), Patch(APP, 2.0, 6)]
    )
    assert (found.patches, found.changed_pairs) == (2, 3)
    assert found.problems == ("tick 1, app: not patched from 5 to one of [6]",)


def test_a_value_that_never_was_is_no_justified_patch() -> None:
    """Nor is one that was true long before the tick."""
    found = count([report(0.2, Phase.RUNNING), report(0.3, Phase.RUNNING)], [Patch(APP, 1.0, 6), Patch(APP, 2.0, 7)])
    assert found.changed_pairs == 1
    assert "patched to 6, expected one of [7]" in found.problems[0]


def test_two_patches_in_one_tick_are_one_too_many() -> None:
    """A Deployment is patched at most once a tick."""
    found = count([report(0.95, Phase.RUNNING), report(1.05, Phase.RUNNING)], [Patch(APP, 1.0, 6), Patch(APP, 1.1, 7)])
    assert (found.patches, found.changed_pairs) == (2, 1)
    assert "patched again 0.10 s after the begin" in found.problems[0]


def test_a_patch_late_in_a_slow_tick_may_be_followed_soon() -> None:
    """The next tick begins a second after the slow one had begun."""
    names = [DeploymentName(f"app-{i}") for i in range(4)]
    at_s = [1.0, 1.2, 1.4, 1.6]
    reports = [report(at - 0.05, Phase.RUNNING, name) for at, name in zip(at_s, names, strict=True)]
    reports += [report(1.9, Phase.RUNNING, name) for name in names]
    patches = [Patch(name, at, 1) for at, name in zip(at_s, names, strict=True)]
    patches += [Patch(name, 2.0 + n / 100, 2) for n, name in enumerate(names)]
    found = count_patches(dict.fromkeys(names, 0), reports, patches, lag_s=0.01)
    assert (found.patches, found.ticks, found.problems) == (8, 2, ())


def test_ticks_without_a_pause_are_told_apart() -> None:
    """On a busy machine one tick's patches may take until the next begins: a Deployment's own next patch begins it."""
    names = [DeploymentName(f"app-{i}") for i in range(5)]
    # Each tick patches one Deployment after the other, 0.2 s apart, and the next tick follows at once.
    at_s = {(n, tick): 1.0 + tick + n / 5 for n in range(5) for tick in range(3)}
    reports = [report(at - LAG_S, Phase.RUNNING, names[n]) for (n, _), at in sorted(at_s.items(), key=lambda i: i[1])]
    patches = [Patch(names[n], at, tick + 1) for (n, tick), at in at_s.items()]
    found = count_patches(dict.fromkeys(names, 0), reports, patches, lag_s=0.05)
    assert (found.ticks, found.changed_pairs, found.problems) == (3, 15, ())


def test_a_report_at_the_tick_may_count_or_not() -> None:
    """What was stored within the lag before a tick leaves both open; it has to be shown by the end."""
    late = [report(0.2, Phase.RUNNING), report(0.99, Phase.RUNNING)]
    for values in ([6, 7], [7]):
        found = count(late, [Patch(APP, 1.0 + n, value) for n, value in enumerate(values)])
        assert (found.problems, found.changed_pairs) == ((), len(values))


def test_an_unpatched_deployment_may_be_undecided() -> None:
    """It changed and changed back around the tick: counted, so that nobody takes it for proof."""
    found = count(
        [report(0.95, Phase.RUNNING), report(0.96, Phase.PENDING), report(0.2, Phase.RUNNING, OTHER)],
        [Patch(OTHER, 1.0, 3)],
    )
    assert (found.problems, found.undecided) == ((), 1)


def test_the_last_status_is_true() -> None:
    """A change that no later patch shows is a problem, even without another tick."""
    found = count([report(0.2, Phase.RUNNING)], [])
    assert found.problems == ("at the end, app: the status says 5 succeeded, the reports add up to 6",)
