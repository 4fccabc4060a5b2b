"""Faults of a device host: its power, its cable, its podman."""

from harness.env.device import Device
from harness.faults.cable_out import CableOut
from harness.faults.fault import Fault
from harness.faults.podman_away import PodmanAway, PodmanSilent
from harness.faults.power_cut import PowerCut
from harness.services.podman_gate import PodmanGate
from scenarios.exhibits.exhibit import Exhibit, Stage

_NEEDS = ("podman",)


async def power_cut(stage: Stage) -> Fault:
    return PowerCut((await _device(stage)).host)


async def cable_out(stage: Stage) -> Fault:
    return CableOut((await _device(stage)).host)


async def podman_stopped(stage: Stage) -> Fault:
    return PodmanAway((await _device(stage)).host)


async def podman_killed(stage: Stage) -> Fault:
    return PodmanAway((await _device(stage)).host, "killed")


async def podman_silent(stage: Stage) -> Fault:
    host = (await _device(stage)).host
    gate = PodmanGate(host, stage.env.recorder)
    await gate.open()
    return PodmanSilent(host, gate)


async def _device(stage: Stage) -> Device:
    return await stage.env.start_device("edge-1")


HOSTS: tuple[Exhibit, ...] = (
    Exhibit("power-cut", "a device host loses its power, and boots", power_cut, _NEEDS),
    Exhibit("cable-out", "the cable of a device host is pulled, and plugged in", cable_out, _NEEDS),
    Exhibit("podman-stopped", "podman's service ends in order, and is started again", podman_stopped, _NEEDS),
    Exhibit("podman-killed", "podman's service is killed, and started again", podman_killed, _NEEDS),
    Exhibit("podman-silent", "podman takes requests and says nothing for a while", podman_silent, _NEEDS),
)
