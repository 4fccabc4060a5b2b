"""ContainerRuntime on podman's REST socket, 4.3 and 5. Every call may be repeated, by us or by a next agent.

Podman keeps no promise about statuses: what 4.3 answers with 500 is 404 or 304 in 5, and a podman that was killed
half-way leaves states between two others. So a refusal is not judged by its words if a look can tell: what counts is
what podman has afterwards.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from fleet.agent.model import Container, Reason, ServiceSpec, container_name
from fleet.agent.ports import taken
from fleet.agent.runtime import leftover, podman_exec
from fleet.agent.runtime.frames import Frames
from fleet.agent.runtime.libpod import (
    CREATED,
    NO_CONTENT,
    NOT_FOUND,
    NOT_MODIFIED,
    OK,
    Libpod,
    Refusal,
    filters,
    parsed,
    segment,
)
from fleet.agent.runtime.podman_spec import (
    DEVICE_LABEL,
    Listed,
    container_of,
    create_body,
    read_grace_s,
    read_listed,
    slot_and_digest,
    text,
)
from fleet.agent.runtime.protocol import ExecResult, RuntimeAway, RuntimeTrouble
from fleet.agent.runtime.troubles import create_trouble, pull_trouble, readable, refused_as, start_trouble
from fleet.wire import DeviceId, PullPolicy

PULL_TIMEOUT_S: Final = 1800.0
_CREATE_TIMEOUT_S: Final = 60.0
_START_TIMEOUT_S: Final = 120.0
_REMOVE_TIMEOUT_S: Final = 120.0
_STOP_MARGIN_S: Final = 60.0
"""On top of the grace: podman waits up to 10 s for SIGKILL to work, then tears down network and mounts."""
_GARBAGE_REQUESTS_MAX: Final = 20
_GARBAGE_BYTES: Final = 1024 * 1024
_CHANGES: Final = ("create", "start", "died", "stop", "remove", "pause", "unpause", "rename")

_POLICIES: Final = {
    PullPolicy.IF_NOT_PRESENT: "missing",
    PullPolicy.ALWAYS: "always",
    PullPolicy.NEVER: "never",
}


class PodmanRuntime:
    """The containers of one device, by its label, on the podman behind one socket."""

    def __init__(self, socket: Path, device: DeviceId) -> None:
        self._libpod = Libpod(socket)
        self._device = device

    async def containers(self) -> Sequence[Container]:
        found = await self._list(label=f"{DEVICE_LABEL}={self._device}")
        containers = (container_of(self._device, listed) for listed in found)
        return [container for container in containers if container is not None]

    async def prepare(self, spec: ServiceSpec) -> None:
        """With one call: podman itself looks whether the image is there, and pulls it if the policy says so."""
        image = spec.service.image
        # Quiet: one object at the end, with 200 also for a failure. Without, a progress of any length would come first.
        query = {"reference": image, "policy": _POLICIES[spec.service.image_pull_policy], "quiet": "true"}
        try:
            answer = await self._libpod.call("POST", "images/pull", OK, query=query, timeout_s=PULL_TIMEOUT_S)
        except Refusal as refusal:
            raise pull_trouble(image, str(refusal)) from refusal
        report = parsed("images/pull", answer.body)
        if not isinstance(report, dict):
            raise RuntimeAway("podman's report of a pull is unreadable")
        if report.get("error"):
            raise pull_trouble(image, str(report["error"]))

    async def create(self, spec: ServiceSpec) -> str:
        name = container_name(self._device, spec)
        try:
            return await self._create(spec)
        except Refusal as refusal:
            there = await self._look(name=f"^{re.escape(name)}$")
            if there is None and name in str(refusal):
                # Podman was killed while it made or removed one: its storage holds the name, and no container does.
                return await self._create_over(spec, name)
            if there is None:
                raise create_trouble(spec, refusal) from refusal
            if slot_and_digest(self._device, there.labels) != (spec.slot, spec.digest):
                raise RuntimeTrouble(
                    Reason.NAME_TAKEN,
                    f"a container named {name} is there that this agent did not make; remove or rename it",
                ) from refusal
            return there.id

    async def start(self, container_id: str) -> None:
        try:
            await self._start(container_id)
        except Refusal as refusal:
            there = await self._look(id=container_id, sync=True)
            if there is None:
                raise RuntimeTrouble(Reason.START_FAILED, f"no container {container_id[:12]} to start") from refusal
            if there.state == "running":
                return
            if await self._restored(there):
                words = f"a podman that was killed left it half started, it is removed: {refusal}"
                raise RuntimeTrouble(Reason.START_FAILED, words) from refusal
            trouble = start_trouble(refusal, taken(there.host_ports))
            if trouble.reason is Reason.START_FAILED:
                await self._let_go(there)
            raise trouble from refusal

    async def stop(self, container_id: str) -> None:
        there = await self._look(id=container_id)
        if there is None or not there.may_run:
            return
        grace_s = await self._grace_s(container_id)
        path = f"containers/{segment(container_id)}"
        if there.state == "paused":
            with refused_as(Reason.STOP_FAILED):
                await self._libpod.call("POST", f"{path}/unpause", NO_CONTENT, NOT_FOUND)
        try:
            # No timeout parameter: its own grace is baked in, and its own signal.
            await self._libpod.call(
                "POST",
                f"{path}/stop",
                NO_CONTENT,
                NOT_MODIFIED,
                NOT_FOUND,
                timeout_s=grace_s + _STOP_MARGIN_S,
            )
        except Refusal as refusal:
            # It may have ended by itself, or been stopped by somebody else, while podman was at it.
            there = await self._look(id=container_id, sync=True)
            if there is not None and there.may_run:
                raise RuntimeTrouble(Reason.STOP_FAILED, str(refusal)) from refusal

    async def remove(self, container_id: str) -> None:
        there = await self._look(id=container_id)
        if there is None:
            return
        if there.state == "initialized":
            # Nothing runs yet, or all of it does: podman may have been killed before it wrote down that it started it.
            await self.stop(container_id)
        # Podman 4.3 itself would remove one that is being stopped, and leave its process behind.
        elif there.may_run:
            words = f"container {container_id[:12]} is {there.state}: stop it before it is removed"
            raise RuntimeTrouble(Reason.STOP_FAILED, words)
        try:
            await self._remove(container_id, force=False)
        except Refusal:
            # An exec session that nobody ended, or a removal that was cut short.
            with refused_as(Reason.STOP_FAILED):
                await self._remove(container_id, force=True)

    async def logs(self, container_id: str, *, tail_lines: int, bytes_max: int) -> bytes:
        kept, frames = bytearray(), Frames()
        query = {"stdout": "true", "stderr": "true", "tail": str(tail_lines)}
        with refused_as(Reason.EXITED), readable("a log"):
            async with self._libpod.stream("GET", f"containers/{segment(container_id)}/logs", query=query) as stream:
                async for chunk in stream.chunks():
                    for payload in frames.feed(chunk):
                        kept += payload
                        del kept[: max(0, len(kept) - bytes_max)]
        return bytes(kept)

    async def execute(
        self, container_id: str, command: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecResult:
        with readable("an exec"):
            return await podman_exec.execute(
                self._libpod, container_id, command, timeout_s=timeout_s, bytes_max=bytes_max
            )

    async def changes(self) -> AsyncGenerator[None, None]:
        """The first item says that the stream is open: a list read after it misses nothing. RuntimeAway at its end."""
        # Not `since`: 4.3 would then stop following its own log when that is rotated.
        query = filters(type="container", label=f"{DEVICE_LABEL}={self._device}", event=list(_CHANGES))
        with refused_as(Reason.RUNTIME_AWAY):
            async with self._libpod.stream("GET", "events", query=query) as stream:
                yield None
                async for chunk in stream.chunks():
                    for _ in range(chunk.count(b"\n")):
                        yield None
        raise RuntimeAway("podman's stream of events ended")

    async def _list(self, *, sync: bool = False, **wanted: str) -> list[Listed]:
        """Of all containers those that match; `sync`: after podman has compared its record with the OCI runtime's."""
        query = {"all": "true", "sync": str(sync).lower(), **filters(**wanted)}
        try:
            found = await self._libpod.get("containers/json", query=query)
        except Refusal:
            # One that is removed while podman lists makes all of it fail, once.
            with refused_as(Reason.RUNTIME_AWAY):
                found = await self._libpod.get("containers/json", query=query)
        if not isinstance(found, list):
            raise RuntimeAway("podman's list of containers is no list")
        with readable("a list of containers"):
            return [read_listed(entry) for entry in found]

    async def _look(self, *, sync: bool = False, **wanted: str) -> Listed | None:
        """Not an inspection: that fails for a container whose removal was cut short."""
        return next(iter(await self._list(sync=sync, **wanted)), None)

    async def _grace_s(self, container_id: str) -> int:
        try:
            found = await self._libpod.get(f"containers/{segment(container_id)}/json")
        except Refusal:
            return 0  # then the stop will be refused as well, and says why
        with readable("an inspection"):
            return read_grace_s(found)

    async def _create(self, spec: ServiceSpec) -> str:
        answer = await self._libpod.call(
            "POST",
            "containers/create",
            CREATED,
            body=create_body(self._device, spec),
            timeout_s=_CREATE_TIMEOUT_S,
        )
        made = parsed("containers/create", answer.body)
        with readable("a create"):
            if not isinstance(made, dict):
                raise ValueError("expected an object")  # noqa: TRY004 - of the peer's data, not of our types
            return text(made, "Id")

    async def _create_over(self, spec: ServiceSpec, name: str) -> str:
        try:
            await self._remove(name, force=True)
            return await self._create(spec)
        except Refusal as refusal:
            raise create_trouble(spec, refusal) from refusal

    async def _start(self, container_id: str) -> None:
        path = f"containers/{segment(container_id)}/start"
        await self._libpod.call("POST", path, NO_CONTENT, NOT_MODIFIED, timeout_s=_START_TIMEOUT_S)

    async def _remove(self, name: str, *, force: bool) -> None:
        # Volumes: those that the image declares and nobody named, nothing else.
        query = {"volumes": "true", "force": str(force).lower()}
        await self._libpod.call(
            "DELETE",
            f"containers/{segment(name)}",
            OK,
            NO_CONTENT,
            NOT_FOUND,
            query=query,
            timeout_s=_REMOVE_TIMEOUT_S,
        )

    async def _restored(self, there: Listed) -> bool:
        """End what a podman that was killed half-way left of it, if it did; then it is gone, and can be made anew."""
        left = await asyncio.to_thread(leftover.processes, there.id)
        # The OCI runtime has set it up, and keeps the id for itself; podman was killed before it wrote that down.
        ended = bool(left) and not there.may_run and await asyncio.to_thread(leftover.end, left)
        # Or it was started and that was not written down, or its removal was cut short.
        if not ended and there.state not in {"initialized", "removing"}:
            return False
        await self.remove(there.id)
        return True

    async def _let_go(self, there: Listed) -> None:
        """Make podman close the ports that it bound for a start which failed.

        It forgets to, and holds them until its next garbage collection: up to two minutes in which whatever is to mend
        that start finds its port taken. A large request that it must refuse is garbage, and brings one about.
        """
        for _ in range(_GARBAGE_REQUESTS_MAX):
            if not taken(there.host_ports):
                return
            with suppress(Refusal):
                await self._libpod.call("POST", "containers/create", body={"name": [" " * _GARBAGE_BYTES]})
