"""Host ports that are taken, as a container runtime would find them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleet.agent.ports import taken

_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


@contextmanager
def _holder(protocol: str, address: str, *, shares: bool = False) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, _KINDS[protocol]) as holder:
        if shares:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, 0))
        if protocol == "TCP":
            holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::"])  # noqa: S104 - as a service would
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_port_that_is_held(protocol: str, address: str, *, shares: bool) -> None:
    """By anybody, on any address, willing to share or not: taken; free once the holder has gone."""
    with _holder(protocol, address, shares=shares) as port:
        assert taken([(port, protocol)]) == [(port, protocol)]
    assert taken([(port, protocol)]) == []


def test_other_protocol_is_another_port() -> None:
    """TCP and UDP of one number have nothing to do with each other."""
    with _holder("TCP", "127.0.0.1") as port:
        assert taken([(port, "UDP")]) == []
        assert taken([(port, "UDP"), (port, "TCP")]) == [(port, "TCP")]


def test_connection_that_ended_lately_is_not_in_the_way() -> None:
    """A restarted service's old connections linger for a minute; its port is free."""
    with _holder("TCP", "127.0.0.1") as port:
        pass
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with socket.create_connection(("127.0.0.1", port)) as caller:
            served, _ = listener.accept()
            served.close()
            assert caller.recv(1) == b""
    assert taken([(port, "TCP")]) == []


def test_what_cannot_be_told_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not bind a port learns nothing of others."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "not allowed")

    class Refused(socket.socket):
        bind = refuse

    monkeypatch.setattr(socket, "socket", Refused)
    assert taken([(80, "TCP")]) == []
