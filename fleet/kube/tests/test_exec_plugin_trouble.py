"""A credential program that misbehaves: what becomes of it, and that its children go with it."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.errors import PeerAway, SettingsError
from fleet.kube import exec_plugin
from fleet.kube.tests.credentials import SECRET, V1, Json, Program
from fleet.kube.tests.informing import DEADLINE_S

HANGS = 'sh -c "echo \\$\\$ > {pids}; exec sleep 1000" & wait'


class Pids:
    """A pipe with a name, through which a program tells the number of a process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pids"
        os.mkfifo(self.path)
        # Open for writing, too: nobody waits for us to read, and no end of file comes.
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    async def told(self) -> int:
        await readable(self._descriptor)
        return int(os.read(self._descriptor, 64))

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Pids]:
    pids = Pids(tmp_path)
    yield pids
    pids.close()


async def readable(descriptor: int) -> None:
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await event.wait()
    finally:
        loop.remove_reader(descriptor)


async def ended(pid: int) -> None:
    """The kernel tells, also of a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await readable(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (SECRET, "its output is no ExecCredential"),
        pytest.param('{"deep":' + "[" * 100_000, "its output is no ExecCredential", id="too-deep"),
        (json.dumps({"apiVersion": V1, "kind": "X", "status": {"token": SECRET}}), "no ExecCredential of"),
        (json.dumps({"apiVersion": V1 + "beta1", "kind": "ExecCredential", "status": {"token": SECRET}}), "of client"),
        (json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": 7}}), "is no ExecCredential"),
        (json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {}}), "neither a token nor a certificate"),
        (
            json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": f"{SECRET}\n{SECRET}"}}),
            "holds no token",
        ),
        (
            json.dumps(
                {
                    "apiVersion": V1,
                    "kind": "ExecCredential",
                    "status": {"clientCertificateData": SECRET, "clientKeyData": SECRET},
                }
            ),
            "its certificate and key are not usable",
        ),
        ("x" * 2_000_000, "its output is of over 1048576 bytes"),
    ],
)
async def test_output_that_is_no_credential(program: Program, output: str, reason: str) -> None:
    """Trouble of a peer: it may be right the next time. Nothing of the output is shown."""
    program.gives_text(output)
    with pytest.raises(PeerAway, match="exec plugin plugin: ") as error:
        await program.login().grant()
    assert reason in str(error.value)
    assert SECRET not in str(error.value)
    assert SECRET not in repr(error.value.__cause__)


async def test_a_program_that_fails(program: Program) -> None:
    """Its exit code is told, and what it wrote to either stream is not."""
    program.write(f"echo {SECRET}; echo {SECRET} >&2; exit 3")
    with pytest.raises(PeerAway) as error:
        await program.login().grant()
    assert str(error.value) == "exec plugin plugin: exit code 3; run it by hand to see why"


async def test_a_program_that_is_gone(program: Program) -> None:
    """Removed while we run: away, and tried again."""
    login = program.login()
    program.path.unlink()
    with pytest.raises(PeerAway, match="exec plugin plugin: cannot be run: No such file or directory"):
        await login.grant()


async def test_a_program_that_hangs_is_killed(program: Program, pids: Pids, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its deadline, with its children; the event loop goes on meanwhile."""
    program.write(HANGS.format(pids=pids.path))
    monkeypatch.setattr(exec_plugin, "_DEADLINE_S", 0.5)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    task = asyncio.create_task(others())
    try:
        with pytest.raises(PeerAway, match=r"did not end within 0\.5 s"):
            await program.login().grant()
    finally:
        task.cancel()
    assert turns > 10
    await ended(await pids.told())


async def test_a_child_that_keeps_the_output_open_is_not_waited_for(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that left a daemon behind, in a session of its own, with its output: given up after the deadline."""
    monkeypatch.setattr(exec_plugin, "_DEADLINE_S", 0.5)
    program.write("setsid sleep 2 & exit 0")
    async with asyncio.timeout(3):
        with pytest.raises(PeerAway, match=r"did not end within 0\.5 s"):
            await program.login().grant()


async def test_a_cancelled_request_leaves_no_program_behind(program: Program, pids: Pids) -> None:
    """A refresh or the end of the operator takes the program with it."""
    program.write(HANGS.format(pids=pids.path))
    task = asyncio.create_task(program.login().grant())
    pid = await pids.told()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ended(pid)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "apiVersion must be one of"),
        ({"interactiveMode": "Always"}, "it wants a terminal"),
        ({"command": "no-such-program", "installHint": "get it\nthere"}, "not found: get it there"),
        ({"command": "./no-such-program"}, "exec plugin no-such-program: not found"),
        ({"args": SECRET}, "Expected `array | null`, got `str`"),
        ({"command": 7}, "Expected `str`, got `int`"),
    ],
)
def test_a_plugin_that_cannot_work_is_a_setting(program: Program, more: Json, reason: str) -> None:
    """It is told at the start, with what is wrong and without what it was given."""
    with pytest.raises(SettingsError) as error:
        program.plugin(**more)
    assert reason in str(error.value)
    assert SECRET not in str(error.value)
