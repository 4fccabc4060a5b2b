"""Reads objects afresh: from the API server's quorum, after the revision that is to be replaced was seen."""

import asyncio
from collections.abc import Callable, Collection
from typing import TypeVar

import msgspec

from fleet.errors import PeerAway, PeerError, WireError
from fleet.kube.client import KubeClient
from fleet.kube.objects import Deployment, Device, decode_deployment, decode_device
from fleet.kube.unreadable import UNREADABLE
from fleet.operator.bounded import bounded
from fleet.operator.decide import Fresh
from fleet.wire import Pair

# Up to here one request each is cheaper than a list of the whole fleet.
_SINGLE_MAX = 32
_AT_ONCE_MAX = 8

T = TypeVar("T", Deployment, Device)


class _Metadata(msgspec.Struct):
    name: str


class _Envelope(msgspec.Struct):
    metadata: _Metadata


_envelopes = msgspec.json.Decoder(_Envelope)


async def read_afresh(kube: KubeClient, pairs: Collection[Pair]) -> Fresh:
    """The Deployments and Devices that `pairs` name, as they are now. Raises PeerError."""
    unreadable: set[str] = set()
    deployments = await _objects(kube, "deployments", {p.deployment for p in pairs}, decode_deployment, unreadable)
    devices = await _objects(kube, "devices", {p.device for p in pairs}, decode_device, unreadable)
    return Fresh({d.name: d for d in deployments}, {d.name: d for d in devices}, unreadable)


async def _objects(
    kube: KubeClient, resource: str, names: Collection[str], decode: Callable[[bytes], T], unreadable: set[str]
) -> list[T]:
    objects: list[T] = []
    if len(names) > _SINGLE_MAX:
        async for page in kube.list_items(resource):
            for raw in page:
                try:
                    objects.append(decode(raw))
                except WireError:
                    unreadable.add(_name(resource, raw))
            await asyncio.sleep(0)
        return objects
    problems: list[PeerError] = []

    async def read(name: str) -> bool:
        try:
            raw = None if problems else await kube.get(resource, name)
            if raw is not None:
                objects.append(decode(raw))
        except WireError:
            unreadable.add(name)
        except PeerError as e:
            problems.append(e)
        return True

    await bounded(_AT_ONCE_MAX, sorted(names), read)
    if problems:
        raise problems[0]
    return objects


def _name(resource: str, raw: msgspec.Raw) -> str:
    try:
        return _envelopes.decode(raw).metadata.name
    except UNREADABLE as e:
        raise PeerAway(f"list of {resource}: the server sent garbage: {e}") from e
