"""Bare drain of the custom resources: both lists page by page, both at once, every body thrown away."""

import asyncio
import ssl

import aiohttp

from fleet.crds import DEPLOYMENT, DEVICE
from harness.bench.contestants.assignment import Assignment, Lap, assignment
from harness.services.kube_answers import resource_path

LAP = Lap()
# The server writes a list's metadata after its items.
_TAIL_BYTES = 4096
_CONTINUE = b'"continue":"'


async def drain(given: Assignment) -> dict[str, int]:
    """Pages per resource."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {given.token}", "Accept": "application/json"},
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=given.ca_pem)),
        read_bufsize=1 << 20,
    ) as session:
        names = (DEPLOYMENT.plural, DEVICE.plural)
        pages = await asyncio.gather(*(_drain_one(session, given, name) for name in names))
    return {f"{name} pages": count for name, count in zip(names, pages, strict=True)}


async def _drain_one(session: aiohttp.ClientSession, given: Assignment, resource: str) -> int:
    url = given.kube_url + resource_path(resource, given.namespace)
    token, pages = "", 0
    while True:
        params = {"limit": str(given.page_limit), **({"continue": token} if token else {})}
        async with session.get(url, params=params, raise_for_status=True) as answer:
            body = await answer.read()
        pages += 1
        token = continue_token(body)
        if not token:
            return pages


def continue_token(body: bytes) -> str:
    """Where the next page begins, "" if this is the last one; found without parsing the page."""
    tail = body[-_TAIL_BYTES:]
    found = tail.rfind(_CONTINUE)
    if found < 0:
        return ""
    begin = found + len(_CONTINUE)
    return tail[begin : tail.index(b'"', begin)].decode()


if __name__ == "__main__":
    LAP.finish(asyncio.run(drain(assignment())))
