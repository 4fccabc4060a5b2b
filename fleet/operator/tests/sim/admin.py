"""Everything that people, accidents and other programs do to the world: one mutation at a time, chosen by chance."""

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from fleet.kube.objects import Deployment, Device
from fleet.operator.tests.sim.agents import YEAR_2099_S
from fleet.operator.tests.sim.broker import MALFORMED
from fleet.operator.tests.sim.chance import some
from fleet.operator.tests.sim.kube import DEPLOYMENTS, DEVICES, Kubernetes
from fleet.wire import Bucket, DeploymentName, DesiredState, DeviceId, Owner, Pair, Score, Service, desired_key

if TYPE_CHECKING:
    from fleet.operator.tests.sim.world import World

DEVICE_NAMES = [DeviceId(name) for name in ("v0", "v1.x", "v2", "x", "v4")]
DEPLOYMENT_NAMES = [DeploymentName(name) for name in ("d0", "d1", "d2", "d3")]
_SCORES = [Score((Service("s", f"image:{number}"),)) for number in range(3)]
_OTHERS = "example.org/other"
_GARBAGE = "...garbage"


def some_labels(chance: random.Random) -> dict[str, str]:
    return {key: chance.choice("01") for key in "ab"}


def some_selector(chance: random.Random) -> dict[str, str]:
    return {key: chance.choice("01") for key in some(chance, "ab")}


class Admin:
    """`act` does one thing."""

    def __init__(self, world: "World", chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._devices = DEVICE_NAMES[: chance.randint(2, len(DEVICE_NAMES))]
        self._deployments = DEPLOYMENT_NAMES[: chance.randint(2, len(DEPLOYMENT_NAMES))]
        acts: Mapping[Callable[[], str], float] = {
            self._put_deployment: 10,
            self._edit_deployment: 6,
            self._put_device: 3,
            self._relabel: 6,
            self._block: 3,
            self._delete: 6,
            self._remove: 2,
            self._foreign_finalizer: 1,
            self._foreign_key: 3,
            self._introduce: 5,
            self._silence: 4,
            self._stick: 3,
            self._clock: 3,
            self._garble: 1,
            self._approve: 3,
            self._start: 6,
            self._go_on: 8,
            self._connect: 8,
        }
        faults: Mapping[Callable[[], str], float] = {
            self._hide: 2,
            self._wipe: 0.4,
            self._lose_bucket: 1,
            self._purge: 2,
            self._crash: 2,
            self._stop: 4,
            self._disconnect: 2,
            self._break_watch: 2,
        }
        # In some worlds much goes wrong, in some little: then more gets done in between.
        share = chance.choice([0.1, 0.4, 1.0])
        acts = {**acts, **{fault: weight * share for fault, weight in faults.items()}}
        self._acts, self._weights = list(acts), list(acts.values())

    def act(self) -> None:
        """Do one thing; what can't be done now is left out."""
        (act,) = self._chance.choices(self._acts, self._weights)
        told = act()
        if told:
            self._world.story.tell("-- {} {}", act.__name__.strip("_"), told)

    def begin(self) -> None:
        for _ in range(2):
            self._put_deployment()
            self._introduce()
        for _ in range(self._chance.randint(1, 2)):
            self._start()

    def _object(self, kind: str) -> str | None:
        names = sorted(self._world.kube.of(kind))
        return self._chance.choice(names) if names else None

    def _kind(self) -> str:
        return self._chance.choice([DEPLOYMENTS, DEVICES])

    def _put_deployment(self) -> str:
        kube, name = self._world.kube, self._chance.choice(self._deployments)
        if name in kube.deployments:
            return ""
        selector = some_selector(self._chance)
        kube.store(
            DEPLOYMENTS,
            Deployment(
                name=name,
                uid=kube.next_uid(DEPLOYMENTS),
                generation=1,
                resource_version="",
                deleting=False,
                selector=selector,
                score=self._chance.choice(_SCORES),
                status={},
            ),
        )
        return f"{name} {selector}"

    def _edit_deployment(self) -> str:
        kube, name = self._world.kube, self._object(DEPLOYMENTS)
        if name is None:
            return ""
        old = kube.deployments[name]
        changes: dict[str, object] = {"generation": old.generation + 1, "wanted": b""}
        if self._chance.random() < 0.5:
            changes["selector"] = some_selector(self._chance)
        else:
            changes["score"] = self._chance.choice(_SCORES)
        kube.store(DEPLOYMENTS, msgspec.structs.replace(old, **changes))
        return f"{name} generation {old.generation + 1} {changes.get('selector', '')}"

    def _put_device(self) -> str:
        kube, name = self._world.kube, self._chance.choice(self._devices)
        if name in kube.devices:
            return ""
        labels = some_labels(self._chance)
        uid = kube.next_uid(DEVICES)
        kube.store(
            DEVICES, Device(name=name, resource_version="", deleting=False, blocked=False, labels=labels, uid=uid)
        )
        return f"{name} {labels}"

    def _relabel(self) -> str:
        return self._edit_device(lambda _: {"labels": some_labels(self._chance)})

    def _block(self) -> str:
        return self._edit_device(lambda old: {"blocked": not old.blocked})

    def _edit_device(self, change: Callable[[Device], dict[str, object]]) -> str:
        kube, name = self._world.kube, self._object(DEVICES)
        if name is None:
            return ""
        old = kube.devices[name]
        changes = change(old)
        kube.store(DEVICES, msgspec.structs.replace(old, generation=old.generation + 1, **changes))
        return f"{name} {changes}"

    def _delete(self) -> str:
        kind = self._kind()
        name = self._object(kind)
        if name is None:
            return ""
        self._world.kube.delete(kind, name)
        return f"{kind}/{name}"

    def _remove(self) -> str:
        """Deleted, and its finalizers taken off by force."""
        kind = self._kind()
        name = self._object(kind)
        if name is None:
            return ""
        self._world.kube.remove(kind, name)
        return f"{kind}/{name}"

    def _foreign_finalizer(self) -> str:
        kind = self._kind()
        name = self._object(kind)
        if name is None:
            return ""
        return self._toggle_other(kind, self._world.kube.of(kind)[name])

    def _toggle_other(self, kind: str, item: Kubernetes) -> str:
        if _OTHERS in item.finalizers:
            left = tuple(f for f in item.finalizers if f != _OTHERS)
        elif item.deleting:
            return ""
        else:
            left = (*item.finalizers, _OTHERS)
        self._world.kube.set_finalizers(kind, item.name, item.resource_version, left)
        return f"{kind}/{item.name} {left}"

    def _hide(self) -> str:
        """An object that can't be read, or can be again."""
        kube, kind = self._world.kube, self._kind()
        name = self._object(kind)
        if name is None:
            return ""
        readable = (kind, name) in kube.unreadable
        kube.mark(kind, name, readable=readable)
        return f"{kind}/{name} readable={readable}"

    def _wipe(self) -> str:
        kind = self._kind()
        self._world.kube.wipe(kind)
        return kind

    def _lose_bucket(self) -> str:
        bucket = self._world.buckets[self._chance.choice(list(Bucket))]
        if not bucket.exists:
            return ""
        bucket.lose()
        if self._chance.random() < 0.5:
            # Somebody else was faster than any operator.
            bucket.make()
        return f"{bucket.bucket} made={bucket.exists}"

    def _purge(self) -> str:
        bucket = self._world.buckets[self._chance.choice(list(Bucket))]
        keys = sorted(bucket.messages)
        if not keys:
            return ""
        gone = some(self._chance, keys)
        bucket.purge(gone)
        return f"{bucket.bucket} {gone}"

    def _foreign_key(self) -> str:
        """Somebody else writes desired-state."""
        bucket = self._world.buckets[Bucket.DESIRED_STATE]
        if not bucket.exists:
            return ""
        pair = Pair(self._chance.choice(self._devices), self._chance.choice(self._deployments))
        deployment = self._world.kube.deployments.get(pair.deployment)
        known = deployment.uid if deployment is not None else "nobody"
        generation = deployment.generation if deployment is not None else 1
        score = self._chance.choice(_SCORES)
        values: list[bytes | None] = [
            None,
            MALFORMED,
            DesiredState(Owner("somebody", 7), score).encode(),
            DesiredState(Owner(known, generation), score).encode(),
        ]
        value = self._chance.choice(values)
        key = _GARBAGE if self._chance.random() < 0.1 else desired_key(pair)
        bucket.store(key, value, None)
        return f"{key} {value!r}"

    def _introduce(self) -> str:
        name = self._chance.choice(self._devices)
        agent = self._world.agents.get(name) or self._world.new_agent(name, some_labels(self._chance))
        agent.alive = True
        if self._chance.random() < 0.3:
            agent.labels = some_labels(self._chance)
        agent.introduce()
        return f"{name} {agent.labels}"

    def _silence(self) -> str:
        agents = sorted(self._world.agents)
        if not agents:
            return ""
        agent = self._world.agents[self._chance.choice(agents)]
        agent.alive = not agent.alive
        return f"{agent.name} alive={agent.alive}"

    def _stick(self) -> str:
        agents = sorted(self._world.agents)
        if not agents:
            return ""
        agent = self._world.agents[self._chance.choice(agents)]
        agent.stuck = not agent.stuck
        return f"{agent.name} stuck={agent.stuck}"

    def _clock(self) -> str:
        agents = sorted(self._world.agents)
        if not agents:
            return ""
        agent = self._world.agents[self._chance.choice(agents)]
        skew_s = self._chance.choice([0.0, 5.0, YEAR_2099_S, -3600.0])
        agent.is_unsure |= skew_s < min(agent.skew_s, 0.0)
        agent.skew_s = skew_s
        return f"{agent.name} {skew_s}"

    def _garble(self) -> str:
        agents = sorted(self._world.agents)
        if not agents:
            return ""
        agent = self._world.agents[self._chance.choice(agents)]
        agent.garble()
        return agent.name

    def _approve(self) -> str:
        return self._world.approve()

    # The operators and what lies between them and the world

    def _crash(self) -> str:
        if not self._world.processes:
            return ""
        process = self._chance.choice(self._world.processes)
        self._world.end(process)
        return process.name

    def _start(self) -> str:
        if len(self._world.processes) >= self._world.processes_max:
            return ""
        return self._world.start().name

    def _stop(self) -> str:
        if not self._world.processes:
            return ""
        process = self._chance.choice(self._world.processes)
        process.stop()
        return process.name

    def _go_on(self) -> str:
        stopped = [process for process in self._world.processes if process.stopped]
        for process in stopped:
            process.go_on()
        return " ".join(process.name for process in stopped)

    def _disconnect(self) -> str:
        if not self._world.processes:
            return ""
        process = self._chance.choice(self._world.processes)
        process.disconnect()
        return process.name

    def _connect(self) -> str:
        away = [process for process in self._world.processes if not process.connected]
        for process in away:
            process.connected = True
        return " ".join(process.name for process in away)

    def _break_watch(self) -> str:
        if not self._world.processes:
            return ""
        process, kind = self._chance.choice(self._world.processes), self._kind()
        process.break_watch(kind)
        return f"{process.name} {kind}"
