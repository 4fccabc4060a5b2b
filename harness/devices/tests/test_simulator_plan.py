"""What may be simulated, and against which broker."""

import pytest

from harness.devices.simulator.figures import Times
from harness.devices.simulator.plan import BadPlan, Plan, check_broker, labels_of

URL = "nats://127.0.0.1:4222"


@pytest.mark.parametrize("url", [URL, "nats://localhost:4222", "nats://[::1]:4222", "tls://user:word@127.9.9.9:1"])
def test_loopback_needs_no_word(url: str) -> None:
    """This machine's own broker may be loaded."""
    check_broker(url, None)


@pytest.mark.parametrize("host", ["10.0.0.1", "broker.example", "localhost.example", "0.0.0.0", "128.0.0.1"])  # noqa: S104 - bound by nobody
def test_another_broker_is_named(host: str) -> None:
    """Any other one only if the user names its host, and no other host."""
    url = f"nats://user:secret@{host}:4222"
    with pytest.raises(BadPlan, match=f"add --yes-this-broker {host}") as told:
        check_broker(url, None)
    assert "secret" not in str(told.value)
    check_broker(url, host)
    with pytest.raises(BadPlan, match="names 'other'"):
        check_broker(url, "other")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:4222", "nats://127.0.0.1", "nats://:4222", "http://[", "nats://h:99999"]
)
def test_what_is_no_address(url: str) -> None:
    """One line, whatever is wrong with it."""
    with pytest.raises(BadPlan, match="expected nats://HOST:PORT"):
        check_broker(url, None)


def test_labels_are_filled_in_by_number() -> None:
    """Plain, remainder and quotient; the number counts from the first one."""
    labels = labels_of(["group=g{i%4}", "site=s{i//100}", "id=n{i}", "tier=edge"])
    facts = Plan(URL, 10, labels, first=4321).facts(4327)
    assert facts.labels == {"group": "g3", "site": "s43", "id": "n4327", "tier": "edge"}
    assert facts == Plan(URL, 10, labels).facts(4327)


@pytest.mark.parametrize("texts", [["group"], ["=x"], ["a=b", "a=c"]])
def test_what_is_no_label(texts: list[str]) -> None:
    """A label without a value, without a key, or twice."""
    with pytest.raises(BadPlan, match="expected key=value"):
        labels_of(texts)


@pytest.mark.parametrize("value", ["{i%0}", "{j}", "a b", "x" * 60 + "{i}"])
def test_labels_that_no_operator_accepts(value: str) -> None:
    """They are refused before any device starts, also if only the last device's is too long."""
    with pytest.raises(BadPlan, match="--labels"):
        Plan(URL, 10_000, {"group": value})


def test_names_are_recognised() -> None:
    """Every simulated device has the prefix."""
    assert (Plan.name(7), Plan.name(123_456)) == ("sim-00007", "sim-123456")


@pytest.mark.parametrize(
    ("devices", "asked", "lines"), [(1, 0, 1), (251, 0, 2), (5_000, 0, 20), (3, 8, 3), (300, 8, 8)]
)
def test_connections(devices: int, asked: int, lines: int) -> None:
    """One for 250 devices, or as many as asked for; never more than devices."""
    assert Plan(URL, devices, connections=asked).lines == lines


def test_times_keep_their_quantiles() -> None:
    """Within a tenth, without keeping each."""
    times = Times()
    assert times.quantile_s(0.5) is None
    for number in range(1, 1001):
        times.add(number / 1000)
    assert times.quantile_s(0.5) == pytest.approx(0.5, rel=0.1)
    assert times.quantile_s(0.99) == pytest.approx(0.99, rel=0.1)
    assert times.quantile_s(1.0) == times.most_s == 1.0
    times.add(1e9)
    times.add(0.0)
    assert times.most_s == 1e9
