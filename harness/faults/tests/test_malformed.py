"""Entries by hand: proved by reading them back, healed once none stands, in the history by their whole keys."""

from collections.abc import Mapping

import pytest

from fleet.wire import Bucket, desired_key, state_key
from harness.checks.life import faults_bit
from harness.devices.tests.broker import Broker, desired_by, pair_of
from harness.errors import ServiceError, WaitTimeout
from harness.faults import malformed as malformed_module
from harness.faults.fault import Fault, mend, strike
from harness.faults.malformed import CUT_SHORT, NOT_UTF_8, PlantedEntries, by_itself
from harness.faults.toothless import Toothless
from harness.history import HAND, KvEntry
from harness.history import Fault as FaultRecord

PAIR, OTHER = pair_of("site.rack.one"), pair_of("two")
KEY = state_key(PAIR)
GARBAGE = b'{"phase":'


def planted(broker: Broker, values: Mapping[str, bytes] | None = None) -> PlantedEntries:
    return PlantedEntries(
        broker.js, broker.recorder, Bucket.DEVICE_STATE, values or {KEY: GARBAGE, state_key(OTHER): b""}
    )


def events(broker: Broker) -> list[str]:
    return [record.event for record in broker.recorder.history().of(FaultRecord)]


async def struck(broker: Broker, fault: Fault) -> list[str]:
    await strike(fault, broker.recorder)
    await mend(fault, broker.recorder)
    return events(broker)


async def test_written_and_deleted(broker: Broker) -> None:
    """The bytes are there as they were written, an empty value too, and a delete marker takes their place."""
    await broker.make()
    fault = planted(broker)
    await strike(fault, broker.recorder)
    assert (await broker.last(Bucket.DEVICE_STATE, KEY))[0] == GARBAGE
    await mend(fault, broker.recorder)
    assert events(broker) == ["applied", "proved-active", "healed", "proved-healed"]
    assert (await broker.last(Bucket.DEVICE_STATE, KEY))[1]["KV-Operation"] == "DEL"
    ops = [(op.client, op.action, op.target, op.detail) for op in broker.ops("ok")]
    assert ops[0] == (HAND, "put device-state", KEY, GARBAGE.decode())
    assert ops[-1][:2] == (HAND, "delete device-state")
    assert faults_bit(broker.recorder.history()).outcome == "pass"


async def test_cured_by_another(broker: Broker) -> None:
    """Whoever owns the key writes a good value; the hand deletes nothing then."""
    await broker.make()

    async def cure() -> None:
        await broker.desire(PAIR)

    fault = PlantedEntries(broker.js, broker.recorder, Bucket.DESIRED_STATE, {desired_key(PAIR): GARBAGE}, cure=cure)
    assert (await struck(broker, fault))[-1] == "proved-healed"
    assert (await broker.last(Bucket.DESIRED_STATE, desired_key(PAIR)))[0] == desired_by().encode()


async def test_a_newer_value_is_not_deleted(broker: Broker) -> None:
    """Somebody was faster with a good value: the heal leaves it."""
    await broker.make()
    fault = PlantedEntries(broker.js, broker.recorder, Bucket.DESIRED_STATE, {desired_key(PAIR): GARBAGE})
    await strike(fault, broker.recorder)
    await broker.desire(PAIR)
    await mend(fault, broker.recorder)
    assert events(broker)[-1] == "proved-healed"
    assert (await broker.last(Bucket.DESIRED_STATE, desired_key(PAIR)))[0] == desired_by().encode()


async def test_that_did_nothing(broker: Broker) -> None:
    """An entry that nobody wrote is not found, and the run is inconclusive."""
    await broker.make()
    assert "proved-active" not in await struck(broker, Toothless(planted(broker)))
    assert faults_bit(broker.recorder.history()).outcome == "inconclusive"


async def test_that_stays(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cure that does nothing leaves the entry, and that is seen."""
    monkeypatch.setattr(malformed_module, "HEALED_WITHIN_S", 0.1)
    await broker.make()
    fault = PlantedEntries(broker.js, broker.recorder, Bucket.DEVICE_STATE, {KEY: GARBAGE}, cure=by_itself)
    assert (await struck(broker, fault))[-1] == "unproved"


async def test_overwritten_before_the_proof(broker: Broker) -> None:
    """What is gone already bit nobody, as far as anyone can tell."""
    await broker.make()
    fault = planted(broker)
    await fault.apply()
    await planted(broker).apply()
    with pytest.raises(ServiceError, match="not at the revision"):
        await fault.prove_active()


async def test_rewritten_before_the_proof(broker: Broker) -> None:
    """In desired-state the operator is quick; there the witness has seen the entry."""
    await broker.make()
    key = desired_key(PAIR)
    fault = PlantedEntries(broker.js, broker.recorder, Bucket.DESIRED_STATE, {key: GARBAGE})
    await fault.apply()
    broker.recorder.add(
        KvEntry(
            at_s=0.0,
            bucket=Bucket.DESIRED_STATE,
            key=key,
            operation="put",
            revision=fault.revisions[key],
            previous=0,
            value=GARBAGE.decode(),
        )
    )
    await broker.desire(PAIR)
    assert "1 of them replaced since" in await fault.prove_active()


async def test_rewritten_and_not_witnessed(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody saw it there: unproved."""
    monkeypatch.setattr(malformed_module, "_SEEN_WITHIN_S", 0.1)
    await broker.make()
    fault = PlantedEntries(broker.js, broker.recorder, Bucket.DESIRED_STATE, {desired_key(PAIR): GARBAGE})
    await strike(fault, broker.recorder)
    assert events(broker)[-1] == "proved-active"
    await broker.desire(PAIR)
    await mend(fault, broker.recorder)
    with pytest.raises(WaitTimeout):
        await fault.prove_active()


async def test_a_look(broker: Broker) -> None:
    """The history says at which revision an entry stands, and that one which was replaced stands at none."""
    await broker.make()
    fault = planted(broker, {"A_key.with*odd>characters": b"x", KEY: GARBAGE})
    await fault.apply()
    await planted(broker, {KEY: b"{}"}).apply()
    await fault.look()
    looks = {op.target: op.revision for op in broker.ops("ok") if op.action == "get device-state"}
    assert looks == {"A_key.with*odd>characters": fault.revisions["A_key.with*odd>characters"], KEY: None}


@pytest.mark.parametrize("key", ["a..b", ".a", "a."])
async def test_a_key_that_the_broker_refuses(broker: Broker, key: str) -> None:
    """Empty tokens are no subject of the bucket: one clear error."""
    await broker.make()
    with pytest.raises(ServiceError, match="cannot be written"):
        await planted(broker, {key: b"x"}).apply()


async def test_what_no_line_can_hold(broker: Broker) -> None:
    """Bytes that are no text, and a megabyte of it, stand in the history as something malformed."""
    await broker.make()
    big = b'"' + b"x" * 1_000_000 + b'"'
    await planted(broker, {KEY: b'{"a":"\xff"}', state_key(OTHER): big}).apply()
    details = {op.target: op.detail for op in broker.ops("ok")}
    assert details[KEY].startswith(NOT_UTF_8)
    assert details[state_key(OTHER)].endswith(CUT_SHORT)
    assert len(details[state_key(OTHER)]) < 5000


async def test_a_broker_that_does_not_answer(broker: Broker) -> None:
    """The library's error becomes ours."""
    await broker.make()
    fault = PlantedEntries(broker.client.jetstream(timeout=0.2), broker.recorder, Bucket.DEVICE_STATE, {KEY: GARBAGE})
    await fault.apply()
    await broker.server.kill()
    with pytest.raises(ServiceError, match="cannot be read"):
        await fault.prove_active()
