"""The operator's hand, where no operator runs."""

import pytest

from fleet.wire import Bucket, Service, decode_desired_state
from harness.devices.orders import Orders
from harness.devices.tests.broker import Broker
from harness.errors import ServiceError
from harness.services import nats_client


async def test_a_change_is_the_next_generation_and_a_new_one_has_a_new_owner(broker: Broker) -> None:
    """As an operator does it, and what it puts stands under the device's key."""
    orders = await Orders.connect(broker.server.url)
    await orders.make_buckets()
    put = [await orders.put("edge-1", "web", [Service("main", image)]) for image in ("v1", "v2")]
    stored = await orders.stored(Bucket.DESIRED_STATE, "edge-1.web")
    assert stored is not None
    assert decode_desired_state(stored) == put[1]
    await orders.delete("edge-1", "web")
    assert await orders.stored(Bucket.DESIRED_STATE, "edge-1.web") is None
    put.append(await orders.put("edge-1", "web", [Service("main", "v3")]))
    assert [desired.owner.generation for desired in put] == [1, 2, 1]
    assert put[0].owner.uid == put[1].owner.uid != put[2].owner.uid
    await orders.close()


async def test_no_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear error within the deadline, and nothing left of the attempt."""
    monkeypatch.setattr(nats_client, "CONNECT_WITHIN_S", 0.3)
    await broker.server.kill()
    with pytest.raises(ServiceError, match="orders: no broker at"):
        await Orders.connect(broker.server.url)
