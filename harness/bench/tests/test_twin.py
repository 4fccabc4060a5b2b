"""The twin counts as docs/contract.md says."""

from harness.bench.contestants.twin import Entries, aggregate

OWNER = {"uid": "u1", "generation": 2}


def deployment(uid: str = "u1") -> dict[str, object]:
    return {"metadata": {"name": "app", "uid": uid}, "spec": {"targetSelector": {"matchLabels": {"group": "g"}}}}


def device(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"labels": {"group": "g"}, **spec}}


def world(report: dict[str, object] | None, beat_at_s: float = 100.0) -> dict[str, Entries]:
    return {
        "desired-state": {"d.app": ({"owner": OWNER}, 0.0)},
        "device-state": {"state.d.app": (report, 0.0)} if report else {},
        "device-heartbeat": {"heartbeat.d": ({}, beat_at_s)},
    }


def count(report: dict[str, object] | None, *, beat_at_s: float = 100.0, uid: str = "u1") -> list[str]:
    """The counts that are 1 for one device."""
    buckets = world(report, beat_at_s)
    found = aggregate([deployment(uid)], [device("d")], buckets, now_s=150.0, stale_after_s=90.0)["app"]
    assert found.pop("matched") == 1
    return [name for name, number in found.items() if number]


def test_a_report_counts_by_its_phase() -> None:
    """If it is about this owner and no older generation; else, and without one, the pair is pending."""
    assert count({"owner": OWNER, "phase": "Running"}) == ["succeeded"]
    assert count({"owner": OWNER, "phase": "Failed"}) == ["failed"]
    assert count({"owner": OWNER, "phase": "Pending"}) == ["pending"]
    assert count({"owner": {"uid": "u1", "generation": 1}, "phase": "Running"}) == ["pending"]
    assert count({"owner": {"uid": "u0", "generation": 2}, "phase": "Running"}) == ["pending"]
    assert count(None) == ["pending"]
    assert count({"owner": OWNER, "phase": "Running"}, uid="u2") == ["pending"]


def test_a_key_of_another_owner_counts_for_nobody() -> None:
    """The Deployment was made again, its key still is the old one's, and a report names the new one."""
    buckets = world({"owner": {"uid": "u2", "generation": 2}, "phase": "Running"})
    found = aggregate([deployment("u2")], [device("d")], buckets, now_s=150.0, stale_after_s=90.0)
    assert found["app"]["pending"] == 1


def test_a_silent_device_is_stale_and_nothing_else() -> None:
    """By the broker's time of its heartbeat; without that bucket nobody is stale."""
    assert count({"owner": OWNER, "phase": "Running"}, beat_at_s=50.0) == ["stale"]
    buckets = world({"owner": OWNER, "phase": "Running"}, 50.0)
    del buckets["device-heartbeat"]
    assert aggregate([deployment()], [device("d")], buckets, now_s=150.0, stale_after_s=90.0)["app"]["stale"] == 0


def test_only_selected_devices_match() -> None:
    """Blocked ones and those with other labels do not."""
    devices = [device("d"), device("e", blocked=True), device("f", labels={"group": "h"})]
    found = aggregate([deployment()], devices, world(None), now_s=150.0, stale_after_s=90.0)
    assert found["app"]["matched"] == 1
