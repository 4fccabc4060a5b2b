"""The device's own facts: the machine's, and always such that they can be published."""

import os
import platform
from pathlib import Path

import pytest

from fleet.agent import facts as module
from fleet.agent.facts import facts
from fleet.wire import DeviceInfo, decode_device_info

LABELS = {"site": "hamburg"}


def test_of_this_machine() -> None:
    """As the kernel and os-release have them."""
    told = facts("1.4.2", LABELS)
    assert told == DeviceInfo(
        arch=os.uname().machine,
        os=platform.freedesktop_os_release()["PRETTY_NAME"],
        agent_version="1.4.2",
        labels=LABELS,
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    )
    assert decode_device_info(told.encode()) == told


@pytest.mark.parametrize(
    ("release", "name"),
    [
        (OSError("none"), "Linux 6.1"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), "Linux 6.1"),
        ({"PRETTY_NAME": ""}, "Linux 6.1"),
        ({"PRETTY_NAME": "Ünï 1"}, "Ünï 1"),
        ({"PRETTY_NAME": "x" * 500}, "x" * 128),
        ({"PRETTY_NAME": "a\x1b[31m"}, "unknown"),
    ],
)
def test_a_system_with_another_name(
    monkeypatch: pytest.MonkeyPatch, release: Exception | dict[str, str], name: str
) -> None:
    """No os-release, a broken one, one beyond the contract."""

    def read() -> dict[str, str]:
        if isinstance(release, Exception):
            raise release
        return release

    monkeypatch.setattr(platform, "freedesktop_os_release", read)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "release", lambda: "6.1")
    told = facts("1", {})
    assert told.os == name
    assert told.encode()


def test_a_machine_that_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is not told is unknown."""
    monkeypatch.setattr(module, "_BOOT_ID", tmp_path / "absent")
    monkeypatch.setattr(platform, "machine", lambda: "")
    told = facts("1", {})
    assert (told.arch, told.boot_id) == ("unknown", "unknown")
    assert told.encode()
