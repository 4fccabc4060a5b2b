"""The operator's rules on real servers, where no shape of the catalogue has them yet (docs/contract.md, by number)."""

import contextlib
import json
from collections.abc import Sequence
from typing import cast

import pytest
from nats.js.errors import NoKeysError

from fleet.crds import DEPLOYMENT, DEVICE
from fleet.wire import Bucket, stream_name
from harness.env import Environment
from harness.history import Request
from harness.wait import wait_for
from scenarios.worlds.fleet import CONVERGE_S, SETTLE_S, Size, start_settled, wait_status_true
from scenarios.worlds.looking import (
    SOON_S,
    beats_stored,
    devices_named,
    fleet_command,
    live_keys,
    started,
    stopped,
    wait_devices,
    wait_gone,
    wait_keys,
    without_finalizer,
)

FINALIZER = "fleet.fleetproof.dev/keys"
SIZE = Size(8, 4)
MANY = Size(32, 4)
HEARTBEATS = 400
WRITING = {"create", "update", "patch", "delete"}


@pytest.mark.rule("O1", "O2")
async def test_a_deployment_is_let_go_once_its_keys_are_gone(env: Environment) -> None:
    """Deleted while no operator is there, it stays, with its keys, until the next one has deleted them."""
    operator, _ = await start_settled(env, SIZE)
    keys = await live_keys(env)
    await stopped(operator)
    gone = SIZE.deployment_names[0]
    await env.foundation.admin.delete(DEPLOYMENT.plural, env.namespace, gone)
    held = await env.foundation.admin.get(DEPLOYMENT.plural, env.namespace, gone)
    assert FINALIZER in cast("dict[str, list[str]]", held["metadata"])["finalizers"]

    await started(env)
    await wait_gone(env, DEPLOYMENT.plural, gone)
    left = await live_keys(env)
    assert left == {key: revision for key, revision in keys.items() if not key.endswith(f".{gone}")}


@pytest.mark.rule("O3", "O4")
async def test_a_device_that_introduced_itself_is_registered_and_a_deleted_one_is_forgotten(env: Environment) -> None:
    """device-info makes the Device; deleting the Device deletes its keys and what it published, and then lets it go."""
    await started(env)
    names = ["site-1.rack.device-0001", "device-0002"]
    devices = await env.start_devices(names)
    await devices.wait_ready()

    async def registered() -> bool | None:
        found = await devices_named(env)
        return True if found.keys() == set(names) else None

    await wait_for("both devices to be registered", registered, deadline_s=SOON_S, interval_s=0.1)
    for device in (await devices_named(env)).values():
        assert FINALIZER in cast("dict[str, list[str]]", device["metadata"])["finalizers"]

    await devices.silence(names[:1])
    await env.foundation.admin.delete(DEVICE.plural, env.namespace, names[0])
    await wait_gone(env, DEVICE.plural, names[0])
    assert await published(env, names[0]) == []
    assert (await devices_named(env)).keys() == {names[1]}


async def published(env: Environment, device: str) -> Sequence[str]:
    """In which buckets a device's own entries are still live."""
    js = env.witnesses.buckets.client.jetstream()
    found = []
    for bucket in (Bucket.DEVICE_INFO, Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT):
        kv = await js.key_value(bucket.value)
        with contextlib.suppress(NoKeysError):
            found += [f"{bucket} {key}" for key in await kv.keys() if key.split(".", 1)[1].startswith(device)]
    return found


@pytest.mark.rule("O5", "B5")
async def test_a_device_that_vanished_is_made_again_and_its_keys_are_left_alone(env: Environment) -> None:
    """Deleted by force while no operator is there, with its device-info kept: what was wanted is not swept."""
    operator, _ = await start_settled(env, SIZE)
    await stopped(operator)
    lost = SIZE.device_names[0]
    await without_finalizer(env, DEVICE.plural, lost)
    await started(env)

    async def back() -> bool | None:
        return True if lost in await devices_named(env) else None

    await wait_for(f"{lost} to be registered again", back, deadline_s=SOON_S, interval_s=0.1)
    # Its labels were the administrator's, and device-info has none: now nobody selects it, and its one key is swept.
    await wait_keys(env, {key for key in await live_keys(env) if not key.startswith(f"{lost}.")})
    assert set(await live_keys(env)) == {
        f"{device}.{deployment}"
        for i, device in enumerate(SIZE.device_names)
        for j, deployment in enumerate(SIZE.deployment_names)
        if i % 4 == j % 4 and device != lost
    }


@pytest.mark.rule("B1", "B2", "B3", "B4")
async def test_a_large_sweep_waits_for_approval(env: Environment) -> None:
    """Every Deployment gone by force: the keys stay, everybody is told, and go once exactly that sweep is approved."""
    operator, _ = await start_settled(env, MANY)
    keys = await live_keys(env)
    assert len(keys) == MANY.devices
    await stopped(operator)
    for name in MANY.deployment_names:
        await without_finalizer(env, DEPLOYMENT.plural, name)
    operator = await started(env)

    async def held() -> dict[str, object] | None:
        _, text = await operator.get("/recovery")
        return cast("dict[str, object] | None", json.loads(text)["sweep"])

    sweep = await wait_for("the sweep to be held", held, deadline_s=SOON_S, interval_s=0.1)
    assert sweep["count"] == len(keys)
    assert "no Deployments" in str(sweep["reason"])
    # Long enough for a few looks of the sweeper.
    await env.wait_quiet(3.0, deadline_s=SOON_S)
    assert await live_keys(env) == keys

    code, text = await fleet_command(env, "approve-sweep", "--yes", "000000000000")
    assert (code, "does not wait" in text) == (2, True)
    assert await live_keys(env) == keys
    code, text = await fleet_command(env, "approve-sweep", "--json")
    assert json.loads(text)["id"] == sweep["id"]
    code, text = await fleet_command(env, "approve-sweep", "--yes", str(sweep["id"]))
    assert code == 0, text
    await wait_keys(env, set())

    async def nothing_held() -> bool | None:
        return True if await held() is None else None

    await wait_for("nothing to wait any more", nothing_held, deadline_s=SOON_S, interval_s=0.1)


@pytest.mark.rule("L5")
async def test_heartbeats_cost_the_api_server_nothing(env: Environment) -> None:
    """Hundreds of them: no object is written, and none has changed."""
    await start_settled(env, SIZE)
    quick = await env.start_devices([f"quick-{i}" for i in range(8)], beat_every_s=0.05)
    await quick.wait_ready(SOON_S)
    await wait_devices(env, len(SIZE.device_names) + 8)
    await env.wait_quiet(1.0, deadline_s=SOON_S)
    before = {name: item["metadata"] for name, item in (await devices_named(env)).items()}
    begin_s, beats = env.recorder.now_s, await beats_stored(env)

    async def many() -> bool | None:
        return True if await beats_stored(env) - beats >= HEARTBEATS else None

    await wait_for(f"{HEARTBEATS} heartbeats", many, deadline_s=SOON_S, interval_s=0.1)
    assert {name: item["metadata"] for name, item in (await devices_named(env)).items()} == before
    await env.settle_witnesses()
    requests = env.recorder.history().of(Request)
    assert any("operator" in request.user for request in requests)
    written = [r for r in requests if r.requested_s >= begin_s and r.verb in WRITING and "operator" in r.user]
    assert written == []


@pytest.mark.rule("R5", "R6")
@pytest.mark.parametrize("bucket", list(Bucket), ids=str)
async def test_a_bucket_that_is_lost_is_made_and_filled_again(env: Environment, bucket: Bucket) -> None:
    """Deleted while everybody runs: the bucket is back, devices say again what they have, keys are written again."""
    operator, devices = await start_settled(env, SIZE)
    devices.republish_window_s_max = 0.5
    keys = await live_keys(env)
    js = env.witnesses.buckets.client.jetstream()
    await js.delete_stream(stream_name(bucket))

    async def filled() -> bool | None:
        state = await env.witnesses.buckets.stream_state(bucket)
        wanted = len(SIZE.device_names) if "info" in bucket or "heartbeat" in bucket else len(keys)
        return True if state is not None and state.messages == wanted else None

    await wait_for(f"{bucket} to be filled again", filled, deadline_s=40.0, interval_s=0.2)
    await operator.wait_converged(CONVERGE_S)
    await wait_status_true(env, SETTLE_S)
    assert (await live_keys(env)).keys() == keys.keys()
