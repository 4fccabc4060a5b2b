"""The world of one test: its own NATS server and namespace, every link through a fault point, all of it witnessed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fleet.wire import Bucket
from harness.checks.judge import Check, Judgement, judge
from harness.checks.window import is_desired_write, is_status_patch
from harness.devices.orders import Orders
from harness.devices.scripted import BEAT_EVERY_S, Labels, ScriptedDevices
from harness.env.device import Device
from harness.env.foundation import Foundation
from harness.env.product import Product
from harness.env.recording import recording
from harness.env.rights import new_namespace
from harness.errors import WaitTimeout
from harness.faults import fault as faults
from harness.faults.fault import Fault
from harness.faults.toothless import Toothless
from harness.history import Mark, Recorder, Request, Step, Verdict
from harness.history.records import StepPhase
from harness.observers.buckets import BucketObserver
from harness.observers.reports import ReportObserver
from harness.observers.resources import ResourceObserver
from harness.services.audit import AuditTail
from harness.services.device_host import DeviceHost
from harness.services.gate import Gate
from harness.services.nats import NatsServer
from harness.services.operator import OperatorProcess
from harness.services.toxiproxy import Proxy
from harness.wait import wait_for


@dataclass(frozen=True, slots=True)
class Links:
    """The TCP fault points: whose traffic runs through which proxy."""

    operator_nats: Proxy
    operator_kube: Proxy
    devices_nats: Proxy


@dataclass(frozen=True, slots=True)
class Witnesses:
    """They watch on connections of their own, which no fault touches."""

    buckets: BucketObserver
    resources: ResourceObserver
    audit: AuditTail


class Environment:
    """Opened for one test and closed after it: then only `folder`, with its artefacts, is left."""

    def __init__(
        self,
        stack: AsyncExitStack,
        *,
        foundation: Foundation,
        folder: Path,
        recorder: Recorder,
        product: Product,
        namespace: str,
        nats: NatsServer,
        gate: Gate,
        links: Links,
        witnesses: Witnesses,
    ) -> None:
        self._stack = stack
        self._product = product
        self._operators = 0
        self._struck: list[Fault] = []
        # Then faults do nothing, and whoever judges has to find that out.
        self.toothless = False
        self.judgement = Judgement(())
        self._more_audits: list[AuditTail] = []
        self._devices: list[Device] = []
        self._reports: ReportObserver | None = None
        self._kubeconfig = folder / "operator.kubeconfig"
        self.foundation = foundation
        self.folder = folder
        self.recorder = recorder
        self.namespace = namespace
        self.nats = nats
        self.gate = gate
        self.links = links
        self.witnesses = witnesses

    @classmethod
    async def open(
        cls,
        foundation: Foundation,
        folder: Path,
        recorder: Recorder,
        product: Product,
    ) -> Self:
        """Raises ServiceError; nothing is left then."""
        warden, admin = foundation.warden, foundation.admin
        async with AsyncExitStack() as stack:
            scratch = warden.temp_folder("env-", parent=foundation.folder)
            stack.callback(warden.remove_folder, scratch)
            nats = await NatsServer.start(foundation.nats_binary, scratch, warden=warden, recorder=recorder)
            stack.push_async_callback(nats.stop)
            namespace = await new_namespace(stack, foundation)
            gate = await stack.enter_async_context(Gate(foundation.kube.url, foundation.kube.ca_pem, recorder))

            async def proxy(name: str, upstream: str) -> Proxy:
                made = await foundation.toxiproxy.create(f"{namespace}-{name}", upstream)
                stack.push_async_callback(made.delete)
                return made

            links = Links(
                operator_nats=await proxy("operator-nats", nats.address),
                operator_kube=await proxy("operator-kube", gate.url.removeprefix("https://")),
                devices_nats=await proxy("devices-nats", nats.address),
            )
            buckets = await BucketObserver.start(nats.url, recorder)
            stack.push_async_callback(buckets.close)
            resources = await ResourceObserver(admin, namespace, recorder).start()
            stack.push_async_callback(resources.close)
            audit = AuditTail(foundation.kube.audit_path, recorder, namespace=namespace).start()
            stack.push_async_callback(audit.close)
            return cls(
                stack.pop_all(),
                foundation=foundation,
                folder=folder,
                recorder=recorder,
                product=product,
                namespace=namespace,
                nats=nats,
                gate=gate,
                links=links,
                witnesses=Witnesses(buckets, resources, audit),
            )

    async def close(self) -> None:
        """End all of it, in the reverse order, whatever fails on the way. Idempotent."""
        # How we clean up is not part of what happened.
        self.recorder.close()
        await self._stack.aclose()

    async def start_operator(
        self, extra: Mapping[str, str] | None = None, *, name: str | None = None
    ) -> OperatorProcess:
        """Start one more operator, through the fault points. `extra` are environment variables on top."""
        self._operators += 1
        self._write_kubeconfig()
        operator = await OperatorProcess.start(
            self._product.operator,
            name=name or f"operator-{self._operators}",
            nats_url=f"nats://{self.links.operator_nats.listen}",
            kubeconfig=self._kubeconfig,
            namespace=self.namespace,
            folder=self.folder,
            warden=self.foundation.warden,
            recorder=self.recorder,
            extra=extra,
        )
        self._stack.push_async_callback(operator.close)
        return operator

    async def another_cluster(self) -> Foundation:
        """A second Kubernetes API, with our CRDs and nothing else; it ends with this environment. Seconds to start."""
        other = await self.foundation.own_cluster(self.recorder, "other")
        self._stack.push_async_callback(other.close)
        return other

    async def another_namespace(self, foundation: Foundation) -> str:
        """A new namespace in which an operator has its rights; it ends with this environment."""
        return await new_namespace(self._stack, foundation)

    @contextlib.asynccontextmanager
    async def beside(self, name: str) -> AsyncIterator["Environment"]:
        """A second world of the same operator under test, with a history of its own in `folder/name`."""
        meta = self.recorder.history().meta
        with recording(self.folder / name, meta.scenario, meta.case, meta.defect) as recorder:
            other = await type(self).open(self.foundation, self.folder / name, recorder, self._product)
            try:
                yield other
            finally:
                await other.close()

    async def start_stranger(self, foundation: Foundation, namespace: str) -> OperatorProcess:
        """Start an operator on our buckets that serves that namespace of that cluster, past the HTTP fault point.

        What it asks the API server for is in the history like all other requests. It is named `stranger`: what checks
        expect of an operator is not expected of it.
        """
        kubeconfig = self.folder / f"{namespace}.kubeconfig"
        self._write_secret(kubeconfig, foundation.kube.kubeconfig("operator", namespace=namespace))
        audit = AuditTail(foundation.kube.audit_path, self.recorder, namespace=namespace).start()
        self._more_audits.append(audit)
        self._stack.push_async_callback(audit.close)
        extra = {"KUBECONFIG": str(kubeconfig), "FLEET_NAMESPACE": namespace}
        return await self.start_operator(extra, name="stranger")

    async def start_devices(
        self, names: Sequence[str], *, labels: Labels | None = None, beat_every_s: float = BEAT_EVERY_S
    ) -> ScriptedDevices:
        """Devices of these ids, on one connection; they wait for the buckets by themselves.

        `labels` are those of their device-info, by device.
        """
        url = f"nats://{self.links.devices_nats.listen}"
        devices = await ScriptedDevices.start(url, names, self.recorder, labels=labels or {}, beat_every_s=beat_every_s)
        self._stack.push_async_callback(devices.close)
        return devices

    async def start_device(self, name: str, *, labels: Mapping[str, str] | None = None) -> Device:
        """A machine with podman and payload images; its agent is started by `Device.start_agent`."""
        if self._reports is None:
            # Only agents write what it witnesses; scripted devices tell the history themselves.
            self._reports = await ReportObserver.start(self.nats.url, self.recorder)
            self._stack.push_async_callback(self._reports.close)
        host = await DeviceHost.start(
            name,
            logs=self.folder,
            warden=self.foundation.warden,
            storage=await self.foundation.payload_storage(),
            nats_address=self.links.devices_nats.listen,
            recorder=self.recorder,
        )
        device = Device(host, self._product.agent, self.recorder, labels or {})
        self._stack.push_async_callback(device.close)
        self._devices.append(device)
        return device

    async def orders(self) -> Orders:
        """The operator's hand, where none runs."""
        orders = await Orders.connect(self.nats.url)
        self._stack.push_async_callback(orders.close)
        return orders

    async def strike(self, fault: Fault) -> None:
        """Apply and prove it, both in the history; what it holds outside of this environment ends with it."""
        if fault not in self._struck:
            self._struck.append(fault)
            self._stack.push_async_callback(fault.close)
        await faults.strike(Toothless(fault) if self.toothless else fault, self.recorder)

    async def mend(self, fault: Fault) -> None:
        """Heal and prove it, both in the history."""
        await faults.mend(Toothless(fault) if self.toothless else fault, self.recorder)

    def step(self, phase: StepPhase, text: str) -> None:
        """Say what the scenario does now: SETUP, ACTION or ASSERT."""
        self.recorder.add(Step(at_s=self.recorder.now_s, phase=phase, text=text))

    async def mark(self, name: str, detail: str = "") -> None:
        """Name this instant. What happened before it stands before it in the history."""
        await self.settle_witnesses()
        await self._read_streams()
        self.recorder.add(Mark(at_s=self.recorder.now_s, name=name, detail=detail))

    async def wait_quiet(self, quiet_s: float, *, deadline_s: float) -> None:
        """Wait until neither desired-state nor a status was written for `quiet_s`.

        Not reached is no error: the checks count what was written, and an operator that never rests has then been
        watched for long enough.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()

        def active_at_s() -> float:
            writes = (r.at_s for r in reversed(self.recorder.records) if is_desired_write(r))
            patches = (r.at_s for r in reversed(self.recorder.records) if isinstance(r, Request) and is_status_patch(r))
            return max(next(writes, 0.0), next(patches, 0.0))

        def probe() -> bool | None:
            idle_s = min(loop.time() - began, self.recorder.now_s - active_at_s())
            return True if idle_s >= quiet_s else None

        with contextlib.suppress(WaitTimeout):
            await wait_for(f"{quiet_s:g} s without a write", probe, deadline_s=deadline_s, interval_s=0.1)

    async def judge(self, *checks: Check) -> Judgement:
        """Judge what happened so far, and write the findings down."""
        await self.settle_witnesses()
        await self._read_streams()
        judgement = self.judgement = judge(self.recorder.history(), checks)
        for check, finding in zip(checks, judgement.findings, strict=True):
            self.recorder.add(
                Verdict(
                    at_s=self.recorder.now_s,
                    check=finding.check,
                    outcome=finding.outcome,
                    reason=finding.reason,
                    evidence=finding.evidence,
                    function=check.function,
                    arguments=dict(check.arguments),
                )
            )
        return judgement

    async def settle_witnesses(self) -> None:
        """On return, the history has all that the broker stored and the API server answered before the call."""
        for audit in (self.witnesses.audit, *self._more_audits):
            await audit.drain()
        await self.witnesses.resources.drain()
        await self.witnesses.buckets.drain()
        for device in self._devices:
            await device.containers.drain()
        if self._reports is not None:
            await self._reports.drain()

    async def _read_streams(self) -> None:
        for bucket in Bucket:
            await self.witnesses.buckets.stream_state(bucket)

    def _write_kubeconfig(self) -> None:
        if self._kubeconfig.exists():
            return
        text = self.foundation.kube.kubeconfig(
            "operator",
            server=f"https://{self.links.operator_kube.listen}",
            ca_pem=self.gate.ca_pem,
            namespace=self.namespace,
        )
        self._write_secret(self._kubeconfig, text)

    def _write_secret(self, path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text)
        # It holds a token: it goes with the environment and is no artefact.
        self._stack.callback(path.unlink, missing_ok=True)
