"""The plain twin: what an operator's author gets from `kv.watchall` and the official kubernetes client.

It folds the same state into plain dicts and computes the same counts for each Deployment. It is written to be
short, not to be slow: all buckets are watched at once, and the lists are read in threads beside them.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import nats
from kubernetes import client, config
from nats.js.client import JetStreamContext

from fleet.crds import DEPLOYMENT, DEVICE, GROUP, VERSION
from fleet.wire import Bucket
from harness.bench.contestants.assignment import COUNTS, Aggregate, Assignment, Lap, assignment

LAP = Lap()

Item = dict[str, Any]
"""Parsed JSON, used as it comes: nobody here checks what a field holds, which is part of being plain."""
Entries = dict[str, tuple[Item, float]]
"""key -> (value, when the broker stored it as Unix time in seconds)"""

_COUNT_OF_PHASE = {"Running": "succeeded", "Failed": "failed", "Pending": "pending"}


async def recover(given: Assignment) -> None:
    config.load_kube_config(given.kubeconfig)  # type: ignore[no-untyped-call] # untyped library
    api = client.CustomObjectsApi()
    connection = await nats.connect(given.nats_url)
    js = connection.jetstream()
    lists = asyncio.gather(
        asyncio.to_thread(read_list, api, given, DEPLOYMENT.plural),
        asyncio.to_thread(read_list, api, given, DEVICE.plural),
    )
    entries = await asyncio.gather(*(read_bucket(js, bucket) for bucket in given.buckets))
    deployments, devices = await lists
    buckets = dict(zip(given.buckets, entries, strict=True))
    aggregates = aggregate(deployments, devices, buckets, now_s=time.time(), stale_after_s=given.stale_after_s)
    counts = {name: len(found) for name, found in buckets.items()}
    LAP.finish(counts | {DEPLOYMENT.plural: len(deployments), DEVICE.plural: len(devices)}, aggregates)
    await connection.close()


async def read_bucket(js: JetStreamContext, bucket: str) -> Entries:
    """Follow the bucket until its initial state is complete."""
    found: Entries = {}
    store = await js.key_value(bucket)
    stored = (await store.status()).values
    watcher = await store.watchall()
    async for entry in watcher:
        if entry is None:
            if found or not stored:
                break
            # nats-py 2.16 says so before the first entry if the server had sent all of them by its first question.
            continue
        if entry.value:
            found[entry.key] = (json.loads(entry.value), entry.created.timestamp())
        if entry.delta == 0:
            break
    await watcher.stop()  # type: ignore[no-untyped-call] # untyped library
    return found


def read_list(api: client.CustomObjectsApi, given: Assignment, resource: str) -> list[Item]:
    """All pages."""
    items: list[Item] = []
    token: str | None = None
    while True:
        answer = api.list_namespaced_custom_object(
            GROUP, VERSION, given.namespace, resource, limit=given.page_limit, _continue=token
        )
        page = cast("Item", answer)
        items.extend(page["items"])
        token = page["metadata"].get("continue")
        if not token:
            return items


def aggregate(
    deployments: Sequence[Item],
    devices: Sequence[Item],
    buckets: Mapping[str, Entries],
    *,
    now_s: float,
    stale_after_s: float,
) -> dict[str, Aggregate]:
    """The counts of each Deployment, by its name."""
    desired = buckets[Bucket.DESIRED_STATE]
    reports = buckets[Bucket.DEVICE_STATE]
    beats = buckets.get(Bucket.DEVICE_HEARTBEAT)
    aggregates: dict[str, Aggregate] = {}
    for deployment in deployments:
        name = deployment["metadata"]["name"]
        uid = deployment["metadata"]["uid"]
        selector = deployment["spec"]["targetSelector"]["matchLabels"].items()
        counts = aggregates[name] = dict.fromkeys(COUNTS, 0)
        for device in devices:
            if device["spec"].get("blocked") or not selector <= device["spec"].get("labels", {}).items():
                continue
            counts["matched"] += 1
            device_name = device["metadata"]["name"]
            if beats is not None and now_s - beats.get(f"heartbeat.{device_name}", ({}, 0.0))[1] > stale_after_s:
                counts["stale"] += 1
                continue
            key = f"{device_name}.{name}"
            wanted, report = desired.get(key), reports.get(f"state.{key}")
            counts[_standing(uid, wanted[0] if wanted else None, report[0] if report else None)] += 1
    return aggregates


def _standing(uid: str, wanted: Item | None, report: Item | None) -> str:
    if wanted is None or report is None:
        return "pending"
    owner, reported = wanted["owner"], report["owner"]
    if owner["uid"] != uid or reported["uid"] != uid or reported["generation"] < owner["generation"]:
        return "pending"
    return _COUNT_OF_PHASE[report["phase"]]


if __name__ == "__main__":
    asyncio.run(recover(assignment()))
