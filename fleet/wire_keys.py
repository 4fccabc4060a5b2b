"""What is said where: buckets, names, keys and subjects of the wire contract. Pure.

Names are checked as keys are parsed; what `..._key` and `..._subject` build from checked names, `parse_...` reads back.
"""

from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, NewType

from fleet import rules
from fleet.canonical import excerpt
from fleet.errors import WireError


class Bucket(StrEnum):
    DESIRED_STATE = "desired-state"
    DEVICE_INFO = "device-info"
    DEVICE_STATE = "device-state"
    DEVICE_HEARTBEAT = "device-heartbeat"


DESIRED_SUBJECT_PREFIX = "fleet.desired"
"""desired-state republishes what it stored under this; agents listen here and nowhere else."""

REPUBLISH_SUBJECT = "fleet.republish"
"""Here the operator asks every agent to publish again all that it has; the payload says within how many seconds."""

_NAMES_REMEMBERED_MAX = 250_000

DeviceId = NewType("DeviceId", str)
DeploymentName = NewType("DeploymentName", str)


def device_id(text: str) -> DeviceId:
    """Return the one object for this name: it stands in many keys, and lookups by it end at an identity check.

    Beyond a quarter of a million names, the one not seen for longest comes back as an equal, new object.
    """
    return _device_id(text)


def deployment_name(text: str) -> DeploymentName:
    """As `device_id`."""
    return _deployment_name(text)


@lru_cache(_NAMES_REMEMBERED_MAX)
def _device_id(text: str) -> DeviceId:
    return DeviceId(rules.SUBDOMAIN.check(text, "device id"))


@lru_cache(_NAMES_REMEMBERED_MAX)
def _deployment_name(text: str) -> DeploymentName:
    return DeploymentName(rules.LABEL.check(text, "deployment name"))


class Pair(NamedTuple):
    """One deployment on one device: what a desired-state key and a device-state key name."""

    device: DeviceId
    deployment: DeploymentName


def stream_name(bucket: Bucket) -> str:
    return f"KV_{bucket}"


def kv_subject(bucket: Bucket, key: str) -> str:
    return f"$KV.{bucket}.{key}"


def desired_key(pair: Pair) -> str:
    return f"{pair.device}.{pair.deployment}"


def parse_desired_key(key: str) -> Pair:
    # A device id may hold dots and a deployment name may not: the last dot is the border.
    device, _, deployment = key.rpartition(".")
    return Pair(_device_id(device), _deployment_name(deployment))


def state_key(pair: Pair) -> str:
    return f"state.{desired_key(pair)}"


def parse_state_key(key: str) -> Pair:
    return parse_desired_key(after("state.", key))


def info_key(device: DeviceId) -> str:
    return f"info.{device}"


def parse_info_key(key: str) -> DeviceId:
    return device_id(after("info.", key))


def heartbeat_key(device: DeviceId) -> str:
    return f"heartbeat.{device}"


def parse_heartbeat_key(key: str) -> DeviceId:
    return device_id(after("heartbeat.", key))


def desired_subject(pair: Pair) -> str:
    return f"{DESIRED_SUBJECT_PREFIX}.{desired_key(pair)}"


def parse_desired_subject(subject: str) -> Pair:
    return parse_desired_key(after(f"{DESIRED_SUBJECT_PREFIX}.", subject))


def desired_filter(device: DeviceId) -> str:
    """Return the subject that matches each deployment of this device, and of no device whose id extends its id."""
    return f"{DESIRED_SUBJECT_PREFIX}.{device}.*"


def after(prefix: str, key: str) -> str:
    """Return what follows the prefix; WireError if the key does not start with it."""
    if not key.startswith(prefix):
        raise WireError(f"expected a key that starts with {prefix}, got {excerpt(key)}")
    return key.removeprefix(prefix)
