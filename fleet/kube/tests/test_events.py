"""Events: what the API server is sent, and that saying the same twice is saying it once."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

import pytest

from fleet.crds import DEPLOYMENT
from fleet.kube.events import event_body

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def event(
    name: str = "web",
    uid: str = "u-1",
    *,
    kind: Literal["Normal", "Warning"] = "Warning",
    reason: str = "Swept",
    message: str = "3 keys removed",
    at: datetime = AT,
) -> dict[str, object]:
    return event_body(
        DEPLOYMENT, name, uid, namespace="ns", kind=kind, reason=reason, message=message, component="op", at=at
    )


def name_of(body: dict[str, object]) -> str:
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    return str(metadata["name"])


def test_an_events_body() -> None:
    """Type, reason, message, source, times, and the object it is about, in that object's namespace."""
    body = event()
    assert body == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name_of(body), "namespace": "ns"},
        "involvedObject": {
            "apiVersion": "fleet.fleetproof.dev/v1alpha1",
            "kind": "Deployment",
            "namespace": "ns",
            "name": "web",
            "uid": "u-1",
        },
        "type": "Warning",
        "reason": "Swept",
        "message": "3 keys removed",
        "source": {"component": "op"},
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:05Z",
        "count": 1,
    }


def test_times_are_in_utc() -> None:
    """Whatever zone the caller's clock is in."""
    there = AT.astimezone(timezone(timedelta(hours=2)))
    assert event(at=there)["firstTimestamp"] == "2026-01-02T03:04:05Z"


def test_the_name_follows_from_what_is_said() -> None:
    """The same at another time has the same name; another object, reason or message has another."""
    assert name_of(event()) == name_of(event(at=AT + timedelta(days=1)))
    others = [event(uid="u-2"), event(reason="Kept"), event(message="4 keys removed")]
    assert len({name_of(body) for body in [event(), *others]}) == 4


@pytest.mark.parametrize("name", ["a" * 253, "a" * 234 + "." + "b" * 18, "a" * 235 + ".-" + "b" * 16])
def test_a_long_name_is_cut_to_a_valid_one(name: str) -> None:
    """A Device's name may fill the limit already; the cut leaves no dot or dash in front of the suffix."""
    got = name_of(event(name))
    assert len(got) <= 253
    assert got.rsplit(".", 1)[0][-1].isalnum()


def test_a_long_message_is_cut() -> None:
    """At 1,024 bytes, between characters; what is no Unicode does not stop it."""
    message = event(message="ü" * 1000)["message"]
    assert isinstance(message, str)
    assert message == "ü" * 510 + "..."
    assert event(message="a\ud800b")["message"] == "a?b"
