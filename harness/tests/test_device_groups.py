"""Which control groups a device host gets, on machines of every kind."""

from pathlib import Path

import pytest

from harness.errors import ServiceError
from harness.services.device_groups import Hierarchy, hierarchies

OURS = "9:name=systemd:/x\n5:cpu,cpuacct:/\n4:memory:/\n3:rdma:/\n0::/user.slice\n"


def test_version_2_is_one_hierarchy(tmp_path: Path) -> None:
    """Whatever /proc says of version 1."""
    (tmp_path / "cgroup.controllers").touch()
    assert hierarchies(OURS, tmp_path) == (Hierarchy("cgroup2", "", tmp_path),)


def test_version_1_is_one_for_each_name(tmp_path: Path) -> None:
    """Shared ones by each of their names, a named one without a controller; what is not mounted is left out."""
    for name in ("systemd", "cpu,cpuacct", "memory"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    for name in ("cpu", "cpuacct"):
        (tmp_path / name).symlink_to("cpu,cpuacct")
    assert hierarchies(OURS, tmp_path) == (
        Hierarchy("cgroup", "none,name=systemd", tmp_path / "systemd"),
        Hierarchy("cgroup", "cpu,cpuacct", tmp_path / "cpu"),
        Hierarchy("cgroup", "cpu,cpuacct", tmp_path / "cpuacct"),
        Hierarchy("cgroup", "memory", tmp_path / "memory"),
    )


def test_a_machine_without_control_groups_is_told(tmp_path: Path) -> None:
    """With the place where they were looked for."""
    with pytest.raises(ServiceError, match="has no control groups"):
        hierarchies("0::/\n", tmp_path)
