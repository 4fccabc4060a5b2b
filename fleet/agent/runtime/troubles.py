"""What podman's refusals mean to the agent. Only here are its words read: no status tells these causes apart. Pure."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from fleet.agent.model import HostPort, Reason, ServiceSpec
from fleet.agent.runtime.libpod import Refusal
from fleet.agent.runtime.podman_spec import missing_source
from fleet.agent.runtime.protocol import RuntimeAway, RuntimeTrouble

_IN_USE: Final = "address already in use"
_NO_SUCH_IMAGE: Final = ("image not known", "manifest unknown", "name unknown", "repository name not known")


def pull_trouble(image: str, words: str) -> RuntimeTrouble:
    missing = any(sign in words.lower() for sign in _NO_SUCH_IMAGE)
    return RuntimeTrouble(Reason.IMAGE_MISSING if missing else Reason.IMAGE_PULL_FAILED, f"image {image}: {words}")


def create_trouble(spec: ServiceSpec, refusal: Refusal) -> RuntimeTrouble:
    if any(sign in str(refusal) for sign in _NO_SUCH_IMAGE):
        return RuntimeTrouble(Reason.IMAGE_MISSING, f"image {spec.service.image}: {refusal}")
    return RuntimeTrouble(Reason.CREATE_FAILED, missing_source(spec, str(refusal)) or str(refusal))


def start_trouble(refusal: Refusal, ports: Sequence[HostPort]) -> RuntimeTrouble:
    """`ports`: those of its own that cannot be bound now; podman's words alone tell whether that was the cause."""
    if _IN_USE not in str(refusal).lower():
        return RuntimeTrouble(Reason.START_FAILED, str(refusal))
    names = ", ".join(f"{number}/{protocol}" for number, protocol in ports)
    return RuntimeTrouble(Reason.PORT_TAKEN, f"port {names} is in use on this device" if names else str(refusal))


@contextmanager
def refused_as(reason: Reason) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        away = reason is Reason.RUNTIME_AWAY
        raise (RuntimeAway(str(refusal)) if away else RuntimeTrouble(reason, str(refusal))) from refusal


@contextmanager
def readable(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise RuntimeAway(f"podman's answer to {what} is unreadable: {error}") from error
