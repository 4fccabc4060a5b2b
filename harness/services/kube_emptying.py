"""A namespace emptied by hand: where no controller runs, nobody else deletes what is in a namespace that goes."""

import asyncio
from collections.abc import Mapping

from harness.services.kube_answers import KubeApiError, items_of, mapping
from harness.services.kube_session import CALLS_AT_ONCE, MERGE_PATCH, NOT_FOUND, KubeSession


async def delete_all(
    session: KubeSession, path: str, not_older_than: str, params: Mapping[str, str] | None = None
) -> None:
    """Delete every object of a kind that there was at that resourceVersion, and let go of what holds it.

    `path` is that of the collection, `params` select among it. A kind that nobody serves has no objects.

    Asked for its newest word, the server waits up to 0.1 s for etcd's, unless it has just seen a later change of that
    kind. So the first list is of what it has cached, and the second comes after our own deletes.
    """
    selected = dict(params or {})
    try:
        if await _delete_listed(session, path, selected | {"resourceVersion": "0"}):
            newest = {"resourceVersion": not_older_than, "resourceVersionMatch": "NotOlderThan"}
            await _delete_listed(session, path, selected | newest)
    except KubeApiError as e:
        if e.status != NOT_FOUND:
            raise


async def _delete_listed(session: KubeSession, path: str, params: Mapping[str, str]) -> int:
    """How many there were."""
    items = items_of(mapping(await session.request("GET", path, params=params)))
    slots = asyncio.Semaphore(CALLS_AT_ONCE)

    async def delete(metadata: Mapping[str, object]) -> None:
        at = f"{path}/{metadata['name']}"
        async with slots:
            try:
                await session.request("DELETE", at)
                if metadata.get("finalizers"):
                    # They wait for an operator that lives no more.
                    held = {"metadata": {"finalizers": None}}
                    await session.request("PATCH", at, body=held, content_type=MERGE_PATCH)
            except KubeApiError as e:
                # Gone meanwhile: by the hand that it waited for.
                if e.status != NOT_FOUND:
                    raise

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(delete(mapping(item["metadata"])))
    except ExceptionGroup as e:
        raise e.exceptions[0] from e
    return len(items)
