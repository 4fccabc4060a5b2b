"""Port leases hold across processes, die with them, and skip what is bound."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import ServiceError
from harness.services import ports
from harness.services.ports import FIRST_PORT, LAST_PORT, lease, leased_ports, own_ports


def test_lease_is_exclusive_until_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one port in the range, a second lease fails while the first is held and succeeds after."""
    with lease(tmp_path) as free:
        monkeypatch.setattr(ports, "FIRST_PORT", free.port)
        monkeypatch.setattr(ports, "LAST_PORT", free.port)
        with pytest.raises(ServiceError, match="no free port between"):
            lease(tmp_path)
    again = lease(tmp_path)
    assert again.port == free.port
    again.release()
    again.release()


def test_range_is_below_the_ephemeral_one() -> None:
    """No outgoing connection of anybody can sit on a leased port."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert FIRST_PORT <= LAST_PORT < lowest


def test_bound_port_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that a stranger listens on is not leased."""
    # Leased where everybody leases, so that no other worker takes it meanwhile; looked for in a folder of our own.
    with lease() as free, socket.socket() as stranger:
        # As servers do: what is left of connections of earlier servers on this port is no obstacle.
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind((ports.HOST, free.port))
        stranger.listen()
        monkeypatch.setattr(ports, "FIRST_PORT", free.port)
        monkeypatch.setattr(ports, "LAST_PORT", free.port)
        with pytest.raises(ServiceError, match="no free port"):
            lease(tmp_path)


def test_lease_of_another_process_holds_and_dies_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process's lease is respected, listed with its pid, and gone after its SIGKILL."""
    code = (
        "import pathlib, sys, time\n"
        "from harness.services.ports import lease\n"
        "held = lease(pathlib.Path(sys.argv[1]))\n"
        "print(held.port, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(  # noqa: S603 - the test's own program, no shell
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            port = int(other.stdout.readline())
            monkeypatch.setattr(ports, "FIRST_PORT", port)
            monkeypatch.setattr(ports, "LAST_PORT", port)
            assert leased_ports(tmp_path) == {port: other.pid}
            assert own_ports(tmp_path) == set()
            with pytest.raises(ServiceError):
                lease(tmp_path)
        finally:
            other.send_signal(signal.SIGKILL)
    assert leased_ports(tmp_path) == {}
    with lease(tmp_path) as mine:
        assert mine.port == port


def test_own_ones_are_told_until_released(tmp_path: Path) -> None:
    """Two leases, one of them in a folder that is reached by another name."""
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    with lease(tmp_path / "real") as one, lease(tmp_path / "alias") as other:
        assert own_ports(tmp_path / "real") == own_ports(tmp_path / "alias") == {one.port, other.port}
        one.release()
        assert own_ports(tmp_path / "real") == {other.port}
    assert own_ports(tmp_path / "real") == set()


def test_child_does_not_inherit_a_lease(tmp_path: Path) -> None:
    """A program started while a lease is held does not keep it after its release."""
    held = lease(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held.release()
        assert leased_ports(tmp_path) == {}
        child.communicate(b"\n")
