"""What a simulated device says and hears over its connection, request by request. Its methods raise PeerError.

introduce: subscribe -> beat -> facts -> own reports -> desired state -> reports that are due
"""

import contextlib
import secrets
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from fleet.errors import PeerAway, PeerError, WireError
from fleet.wire import (
    Bucket,
    DeploymentName,
    DeviceState,
    Heartbeat,
    Pair,
    decode_device_state,
    desired_filter,
    desired_key,
    info_key,
    parse_desired_key,
    parse_desired_subject,
    parse_state_key,
    state_key,
)
from harness.devices.hearing import is_marker
from harness.devices.simulator.device import Act, Device, Slot
from harness.devices.simulator.figures import Figures
from harness.devices.simulator.keys import OwnKey, read_leader, read_pages, write
from harness.devices.simulator.plan import AGENT_VERSION, Plan

_ANY = DeploymentName("*")


class Conduct:
    """`begin` starts work beside the caller's, or says that it is too late; `look_again` lets a device join again."""

    def __init__(
        self,
        plan: Plan,
        figures: Figures,
        begin: Callable[[Device, Coroutine[None, None, None]], bool],
        look_again: Callable[[Device], None],
    ) -> None:
        self._plan = plan
        self._figures = figures
        self._begin = begin
        self._look_again = look_again
        # One run of the simulator is one run of each agent.
        self._instance_id = f"sim-{secrets.token_hex(4)}"

    async def introduce(self, device: Device) -> None:
        """As an agent does on each connect, in this order: it listens, beats, says who it is, reads."""
        line = device.line
        client = line.client
        if client is not None and device.heard_on is not client:

            async def told(message: Msg) -> None:
                self._told(device, message)

            try:
                await client.subscribe(desired_filter(device.id), cb=told)
            except (NatsError, OSError) as e:
                raise PeerAway(f"subscription of {device.id}: {e}") from e
            device.heard_on = client
        again, device.say_again = device.say_again, False
        try:
            if not device.beating:
                await self.beat(device)
            await self._say_facts(device, again=again)
            await self._read_reports(device, again=again)
        except PeerError:
            device.say_again = device.say_again or again
            raise
        device.joined = True
        await self.read_desired(device)
        for deployment, slot in list(device.slots.items()):
            if slot.due:
                self.report(device, deployment, slot)

    async def beat(self, device: Device) -> None:
        device.beating = True
        try:
            device.sequence += 1
            beat = Heartbeat(AGENT_VERSION, self._instance_id, device.sequence, busy=False).encode()
            if await write(device.line, self._figures, device.heartbeat, beat) and device.joined:
                # The bucket was made again, or the device was forgotten.
                self._look_again(device)
            self._figures.beats += 1
        finally:
            device.beating = False

    async def _say_facts(self, device: Device, *, again: bool) -> None:
        bucket, key = Bucket.DEVICE_INFO, info_key(device.id)
        facts = self._plan.facts(device.number).encode()
        stored = await read_leader(device.line, bucket, key)
        if stored is None or stored.value != facts or again:
            own = OwnKey(bucket, key)
            own.revision = stored.revision if stored is not None else 0
            await write(device.line, self._figures, own, facts)
            self._figures.facts += 1

    async def _read_reports(self, device: Device, *, again: bool) -> None:
        found = set[DeploymentName]()
        async for page in read_pages(device.line, Bucket.DEVICE_STATE, state_key(Pair(device.id, _ANY))):
            for stored in page:
                with contextlib.suppress(WireError):
                    deployment = parse_state_key(stored.key).deployment
                    if stored.value is not None:
                        device.found(deployment, stored.revision, _understood(stored.value))
                        found.add(deployment)
        for deployment, slot in device.slots.items():
            if deployment not in found:
                device.not_found(deployment)
            elif again and slot.wanted is not None:
                slot.due = True
        self._figures.reads += 1

    async def read_desired(self, device: Device) -> None:
        device.reading = True
        device.told = set()
        try:
            async for page in read_pages(device.line, Bucket.DESIRED_STATE, desired_key(Pair(device.id, _ANY))):
                for stored in page:
                    with contextlib.suppress(WireError):
                        deployment = parse_desired_key(stored.key).deployment
                        if deployment not in device.told:
                            self._heard(device, deployment, stored.value)
            self._figures.reads += 1
        finally:
            device.reading, device.told = False, None

    def _told(self, device: Device, message: Msg) -> None:
        """The republished subject: what was stored, delete markers too."""
        with contextlib.suppress(WireError):
            deployment = parse_desired_subject(message.subject).deployment
            if device.told is not None:
                device.told.add(deployment)
            self._heard(device, deployment, None if is_marker(message.headers) else message.data)

    def _heard(
        self, device: Device, deployment: DeploymentName, word: bytes | None, *, confirmed: bool = False
    ) -> None:
        match device.hear(deployment, word, confirmed=confirmed):
            case Act.CONFIRM:
                self._begin(device, self._confirm(device, deployment))
            case Act.REPORT:
                self._figures.taken += 1
                self.report(device, deployment, device.slots[deployment])
            case Act.REFUSED:
                self._figures.desired_refused += 1
            case Act.NOTHING:
                pass

    async def _confirm(self, device: Device, deployment: DeploymentName) -> None:
        stored = await read_leader(device.line, Bucket.DESIRED_STATE, desired_key(Pair(device.id, deployment)))
        self._figures.reads += 1
        if stored is not None:
            self._heard(device, deployment, stored.value, confirmed=True)

    def report(self, device: Device, deployment: DeploymentName, slot: Slot) -> None:
        # Before the first beat there is no report; joining ends with what is due.
        if slot.due and not slot.writing and device.joined:
            slot.writing = self._begin(device, self._write_reports(device, deployment, slot))

    async def _write_reports(self, device: Device, deployment: DeploymentName, slot: Slot) -> None:
        """One at a time, the latest only, until nothing is due."""
        try:
            while slot.due:
                slot.due = False
                wanted, phase = slot.wanted, slot.phase
                value = None if wanted is None else device.state(deployment, datetime.now(UTC)).encode()
                try:
                    disturbed = await write(device.line, self._figures, slot.key, value)
                except PeerError:
                    slot.due = True
                    raise
                self._count(device, deployment, slot, deleted=value is None)
                if wanted is not None and not slot.due and slot.phase is phase:
                    slot.settle()
                if disturbed:
                    self._look_again(device)
        finally:
            slot.writing = False

    def _count(self, device: Device, deployment: DeploymentName, slot: Slot, *, deleted: bool) -> None:
        if not deleted:
            self._figures.reports += 1
            return
        self._figures.deletions += 1
        if not slot.due:
            del device.slots[deployment]


def _understood(value: bytes) -> DeviceState | None:
    try:
        return decode_device_state(value)
    except WireError:
        return None
