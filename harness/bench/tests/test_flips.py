"""The load: a seeded choice of pairs, each of which reports the other phase than before."""

from fleet.wire import Bucket, Owner, Phase, decode_device_state, kv_subject, state_key
from harness.bench.flips import Flipper, Stored, stall_s
from harness.bench.plan import Plan, reported, state_value

PLAN = Plan(devices=60, deployments=4)
OWNERS = {f"app-{i:04d}": Owner(f"uid-{i}", 1) for i in range(4)}


def test_each_flip_reports_the_other_phase() -> None:
    """Also of a pair that flips again and across two plans; the bytes say what the flip says."""
    flipper = Flipper(PLAN, OWNERS, seed=1)
    phases = dict(flipper.phases)
    for flip in [*flipper.plan(200), *flipper.plan(200)]:
        assert flip.phase is not phases[flip.pair]
        phases[flip.pair] = flip.phase
        said = decode_device_state(flip.value)
        assert (said.phase, said.owner) == (flip.phase, OWNERS[flip.pair.deployment])
        assert flip.subject == kv_subject(Bucket.DEVICE_STATE, state_key(flip.pair))


def test_failed_pairs_stay() -> None:
    """A status then differs exactly when its counts do."""
    flipper = Flipper(PLAN, OWNERS, seed=2)
    failed = {pair for n, pair in enumerate(PLAN.pairs) if reported(n) is Phase.FAILED}
    assert failed
    assert not failed & {flip.pair for flip in flipper.plan(2000)}


def test_a_report_is_later_than_all_before() -> None:
    """Than those that the world was made with, and than each flip before it."""
    times = [decode_device_state(flip.value).last_event_at for flip in Flipper(PLAN, OWNERS, seed=3).plan(50)]
    assert times == sorted(set(times))
    made_with = decode_device_state(state_value(Phase.RUNNING, OWNERS["app-0000"], number=len(PLAN.pairs) - 1))
    assert times[0] > made_with.last_event_at


def test_one_seed_is_one_load() -> None:
    """A run can be repeated; another seed chooses otherwise."""
    first, same, other = (Flipper(PLAN, OWNERS, seed=s).plan(100) for s in (5, 5, 6))
    assert first == same
    assert first != other


def test_a_stall_is_the_longest_wait_of_the_load() -> None:
    """Between two batches or for an acknowledgement; reports of one batch left together."""
    pair = PLAN.pairs[0]

    def stored(*times: tuple[float, float]) -> list[Stored]:
        return [Stored(pair, Phase.RUNNING, sent, acked) for sent, acked in times]

    assert stall_s(stored((0.0, 0.25), (0.0, 0.25), (0.125, 0.2))) == 0.25
    assert stall_s(stored((0.0, 0.125), (0.5, 0.625))) == 0.5
    assert stall_s([]) == 0.0
