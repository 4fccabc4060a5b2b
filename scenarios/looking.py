"""What scenarios look at and do by hand: live keys, objects, an administrator's command, a delete by force."""

import asyncio
import os
import sys
from typing import cast

from fleet.crds import DEVICE
from fleet.wire import Bucket
from harness.env import Environment
from harness.history import KvEntry
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.fleet_world import CONVERGE_S

SOON_S = 20.0


async def live_keys(env: Environment) -> dict[str, int]:
    """Live keys of desired-state and their revisions, as the witness saw them."""
    await env.settle_witnesses()
    newest = {entry.key: entry for entry in env.recorder.history().of(KvEntry)}
    return {key: entry.revision for key, entry in newest.items() if entry.operation == "put"}


async def wait_keys(env: Environment, wanted: set[str]) -> None:
    async def probe() -> bool | None:
        return True if (await live_keys(env)).keys() == wanted else None

    await wait_for(f"desired-state to hold {len(wanted)} keys", probe, deadline_s=SOON_S, interval_s=0.1)


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


async def without_finalizer(env: Environment, resource: str, name: str) -> None:
    """Delete an object by force: whoever waited for the finalizer never hears of it."""
    await env.foundation.admin.patch(resource, env.namespace, name, {"metadata": {"finalizers": None}})
    await env.foundation.admin.delete(resource, env.namespace, name)


async def stopped(operator: OperatorProcess) -> None:
    await operator.process.stop()
    await operator.close()


async def started(env: Environment) -> OperatorProcess:
    operator = await env.start_operator()
    await operator.wait_converged(CONVERGE_S)
    return operator
