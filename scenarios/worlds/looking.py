"""What scenarios look at and do by hand: live keys, objects, an administrator's command, a delete by force."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from nats.js.errors import NoKeysError

from fleet.crds import DEVICE
from fleet.wire import Bucket, kv_subject, parse_heartbeat_key, parse_info_key, parse_state_key
from harness.checks.going import PUBLISHED
from harness.checks.reference import World, status_shown
from harness.checks.window import is_desired_write
from harness.env import Environment
from harness.faults import streams
from harness.history import HAND, Op
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.cases import still_judged
from scenarios.worlds.fleet import CONVERGE_S

SOON_S = 20.0
# A few looks of whoever sweeps.
HELD_S = 2.5
HELD_WITHIN_S = 10.0


async def live_keys(env: Environment) -> dict[str, int]:
    """Live keys of desired-state and their revisions, as the witness saw them."""
    await env.settle_witnesses()
    newest = {entry.key: entry for entry in env.recorder.history().records if is_desired_write(entry)}
    return {key: entry.revision for key, entry in newest.items() if entry.operation == "put"}


async def wait_keys(env: Environment, wanted: set[str]) -> None:
    async def probe() -> bool | None:
        return True if (await live_keys(env)).keys() == wanted else None

    await wait_for(f"desired-state to hold {len(wanted)} keys", probe, deadline_s=SOON_S, interval_s=0.1)


async def wait_right(env: Environment, *, silent: Iterable[str] = (), deadline_s: float = SOON_S) -> None:
    """Wait until every key and every status is as it should be, these devices being held for silent."""

    async def probe() -> bool | None:
        # Silence is judged by the time of the newest line, and nobody else may add one for long.
        await beats_stored(env)
        await env.settle_witnesses()
        world = World.at_end(env.recorder.history())
        keys = {key: (value.owner.uid, value.score) for key, value in world.stored.items() if value is not None}
        wanted = {key: (world.deployments[key[1]].uid, score) for key, score in world.wanted.items()}
        told = all(status_shown(deployment) == world.status(name) for name, deployment in world.deployments.items())
        return True if told and keys == wanted and world.silent.issuperset(silent) else None

    await wait_for("every key and every status to be right", probe, deadline_s=deadline_s, interval_s=0.25)


async def wait_gone(env: Environment, resource: str, name: str) -> None:
    async def probe() -> bool | None:
        return True if await env.foundation.admin.find(resource, env.namespace, name) is None else None

    await wait_for(f"{resource}/{name} to be gone", probe, deadline_s=SOON_S, interval_s=0.1)


async def devices_named(env: Environment) -> dict[str, dict[str, object]]:
    items, _ = await env.foundation.admin.list_objects(DEVICE.plural, env.namespace)
    return {str(cast("dict[str, object]", item["metadata"])["name"]): item for item in items}


async def wait_devices(env: Environment, count: int) -> None:
    async def probe() -> bool | None:
        return True if len(await devices_named(env)) == count else None

    await wait_for(f"{count} Devices", probe, deadline_s=SOON_S, interval_s=0.1)


async def beats_stored(env: Environment) -> int:
    """Heartbeats that the broker ever took."""
    state = await env.witnesses.buckets.stream_state(Bucket.DEVICE_HEARTBEAT)
    return 0 if state is None else state.last_seq


async def held(env: Environment) -> dict[Bucket, int]:
    """How many keys and delete markers each bucket holds."""
    js = env.witnesses.buckets.client.jetstream()
    found = {bucket: await streams.look(js, bucket) for bucket in Bucket}
    return {bucket: state.messages if state is not None else 0 for bucket, state in found.items()}


async def wait_refilled(env: Environment, before: Mapping[Bucket, int]) -> None:
    async def probe() -> bool | None:
        now = await held(env)
        return True if all(now[bucket] >= count for bucket, count in before.items()) else None

    await wait_for("the buckets to hold what they held", probe, deadline_s=SOON_S, interval_s=0.1)


async def fleet_command(env: Environment, *arguments: str) -> tuple[int, str]:
    """Run `fleet` with the operator's own kubeconfig; its exit code and what it printed."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(env.folder),
        "KUBECONFIG": str(env.folder / "operator.kubeconfig"),
        "FLEET_NAMESPACE": env.namespace,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fleet",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    try:
        async with asyncio.timeout(SOON_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode()


async def approve_when_held(env: Environment, operator: OperatorProcess) -> None:
    """Wait until the operator holds a sweep, and see that it does; mark `approved`, and approve it where it asks.

    That nothing is held is for the checks to judge.
    """
    with still_judged():
        await wait_for("a sweep to be held", lambda: _held(operator), deadline_s=HELD_WITHIN_S)
        await env.wait_quiet(HELD_S, deadline_s=SOON_S)
    await env.mark("approved")
    if _held(operator) is None:
        return
    admin, path = env.foundation.admin, f"/api/v1/namespaces/{env.namespace}/configmaps/fleet-sweep"
    question = cast("dict[str, dict[str, str]]", await admin.request("GET", path))
    answer = {"data": {"approved": question["data"]["id"]}}
    await admin.request("PATCH", path, body=answer, content_type="application/merge-patch+json")


def _held(operator: OperatorProcess) -> str | None:
    return None if operator.recovery is None else operator.recovery.held


async def without_finalizer(env: Environment, resource: str, name: str) -> None:
    """Delete an object by force: whoever waited for the finalizer never hears of it."""
    await env.foundation.admin.patch(resource, env.namespace, name, {"metadata": {"finalizers": None}})
    await env.foundation.admin.delete(resource, env.namespace, name)


async def delete_entry(env: Environment, bucket: Bucket, key: str) -> None:
    """Delete one entry by hand. What was stored under the key is replaced by a delete marker."""
    invoked_s = env.recorder.now_s
    js = env.witnesses.buckets.client.jetstream()
    ack = await js.publish(kv_subject(bucket, key), b"", headers={"KV-Operation": "DEL"})
    note_by_hand(env, f"delete {bucket}", key, invoked_s, revision=ack.seq)


async def look_at_published(env: Environment, device: str, buckets: Iterable[Bucket]) -> None:
    """Write down which of a device's own entries are live, for the check `device-forgotten`."""
    invoked_s = env.recorder.now_s
    parsed: dict[Bucket, Callable[[str], str]] = {
        Bucket.DEVICE_INFO: parse_info_key,
        Bucket.DEVICE_HEARTBEAT: parse_heartbeat_key,
        Bucket.DEVICE_STATE: lambda key: parse_state_key(key).device,
    }
    live: list[str] = []
    for bucket in buckets:
        kv = await env.witnesses.buckets.client.jetstream().key_value(bucket.value)
        with contextlib.suppress(NoKeysError):
            live += [key for key in await kv.keys() if parsed[bucket](key) == device]
    note_by_hand(env, PUBLISHED, device, invoked_s, detail=", ".join(sorted(live)))


def note_by_hand(
    env: Environment, action: str, target: str, invoked_s: float, *, revision: int | None = None, detail: str = ""
) -> None:
    """Something that was done to a bucket, or seen in it, by nobody who belongs to the fleet."""
    env.recorder.add(
        Op(
            at_s=env.recorder.now_s,
            client=HAND,
            action=action,
            target=target,
            invoked_s=invoked_s,
            outcome="ok",
            revision=revision,
            detail=detail,
        )
    )


async def stopped(operator: OperatorProcess) -> None:
    await operator.process.stop()
    await operator.close()


async def started(env: Environment) -> OperatorProcess:
    operator = await env.start_operator()
    await operator.wait_converged(CONVERGE_S)
    return operator
