"""What the device says of itself. Facts are of the machine that the agent runs on, whatever FLEET_ROOT is."""

import platform
from collections.abc import Mapping
from pathlib import Path

from fleet import rules
from fleet.fields import TextRule
from fleet.wire import DeviceInfo

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNKNOWN = "unknown"


def facts(agent_version: str, labels: Mapping[str, str]) -> DeviceInfo:
    """Always one that can be encoded: whatever the system does not say, or says beyond the contract, is `unknown`."""
    return DeviceInfo(
        arch=_fitting(platform.machine(), rules.TOKEN),
        os=_fitting(_pretty_name(), rules.TITLE),
        agent_version=agent_version,
        labels=labels,
        boot_id=_fitting(_boot_id(), rules.TOKEN),
    )


def _pretty_name() -> str:
    try:
        release = platform.freedesktop_os_release()
    except (OSError, UnicodeDecodeError):
        release = {}
    return release.get("PRETTY_NAME") or f"{platform.system()} {platform.release()}"


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _fitting(text: str, rule: TextRule) -> str:
    text = text[: rule.len_max]
    return text if rule.pattern.fullmatch(text) else _UNKNOWN
