"""How a history is told line by line, and what devices do in it: they report, fall silent, run containers."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from fleet.wire import Bucket, DeviceState, Owner, Phase
from harness.history import ContainerEvent, History, KvEntry, Mark, Op, Record
from harness.history.records import Outcome


class Telling:
    """Buckets that were made at that time, and a clock that each line advances by a step."""

    def __init__(self, made_at: datetime, step_s: float) -> None:
        self.records: list[Record] = []
        self.at_s = 0.0
        self.made_at = made_at
        self.revision = int(made_at.timestamp() * 1e6) - 1
        self._step_s = step_s

    def history(self) -> History:
        return History(self.records)

    def add(self, record: Record) -> int:
        self.records.append(record)
        self.at_s = round(self.at_s + self._step_s, 6)
        return len(self.records)

    def mark(self, name: str) -> int:
        return self.add(Mark(at_s=self.at_s, name=name))

    def passes(self, seconds: float) -> None:
        self.at_s = round(self.at_s + seconds, 6)


class DeviceTelling(Telling):
    """What devices, their agents and their containers do."""

    def said(
        self,
        target: str,
        detail: str = "",
        *,
        action: str = "put device-state",
        outcome: Outcome = "ok",
        at_s: float | None = None,
    ) -> int:
        """A device writes device-state."""
        at_s = self.at_s if at_s is None else at_s
        return self.add(
            Op(
                at_s=at_s,
                client=target.rpartition(".")[0],
                action=action,
                target=target,
                invoked_s=at_s,
                outcome=outcome,
                detail=detail,
            )
        )

    def acted(self, device: str, action: str, *, invoked_s: float | None = None) -> int:
        """A device falls silent or comes back."""
        invoked_s = self.at_s if invoked_s is None else invoked_s
        return self.add(
            Op(at_s=self.at_s, client=device, action=action, target=device, invoked_s=invoked_s, outcome="ok")
        )

    def container(
        self,
        event: str,
        id_: str = "a",
        *,
        slot: str = "app/main",
        device: str = "edge-1",
        image: str = "localhost/payload:v1",
        exit_code: int | None = None,
        happened_s: float | None = None,
        of_an_agent: bool = True,
    ) -> int:
        """What happened to a container of a device host of that name; its digest is its image's version."""
        deployment, _, service = slot.partition("/")
        named = {"device": device, "deployment": deployment, "service": service, "digest": image.rpartition(":")[2]}
        return self.add(
            ContainerEvent(
                at_s=self.at_s,
                happened_s=self.at_s if happened_s is None else happened_s,
                host=device,
                event=event,
                id=id_,
                name=f"fleet.{id_}",
                image=image,
                labels={f"dev.fleetproof.{key}": value for key, value in named.items()} if of_an_agent else {},
                exit_code=exit_code,
            )
        )

    def containers(self, events: Sequence[str], id_: str = "a", *, slot: str = "app/main", version: str = "v1") -> int:
        """Some of these one after the other, on `edge-1`."""
        return [self.container(e, id_, slot=slot, image=f"localhost/payload:{version}") for e in events][-1]

    def reports(
        self,
        phase: Phase | None = Phase.RUNNING,
        *,
        device: str = "edge-1",
        deployment: str = "app",
        ids: Mapping[str, str] = {},
        error: str | None = None,
        uid: str = "uid-app",
        generation: int = 1,
    ) -> int:
        """An agent's device-state, as the broker stored it; None withdraws it."""
        self.revision += 1
        value = "" if phase is None else DeviceState(phase, self.made_at, Owner(uid, generation), ids, error).encode()
        return self.add(
            KvEntry(
                at_s=self.at_s,
                bucket=Bucket.DEVICE_STATE.value,
                key=f"state.{device}.{deployment}",
                operation="delete" if phase is None else "put",
                revision=self.revision,
                previous=0,
                value=value.decode() if isinstance(value, bytes) else value,
            )
        )
