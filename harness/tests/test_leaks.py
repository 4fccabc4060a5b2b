"""The leak audit tells each kind of left-over in one line, and says nothing of what was there before."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.js.api import ConsumerConfig

from fleet.wire import Bucket, stream_name
from harness.errors import LeakError, ServiceError
from harness.leaks import LeakAudit, consumers
from harness.services import procfs
from harness.services.kube_client import KubeAdmin
from harness.services.nats import NatsServer
from harness.services.ports import lease, leased_ports
from harness.services.process import ManagedProcess
from harness.services.toxiproxy import Toxiproxy
from harness.services.warden import TOKEN_VARIABLE, Warden
from harness.wait import wait_for

SETTLE_S = 0.1
"""For tests that expect a leak: it would wait in vain."""


@pytest.fixture
def audit(warden: Warden) -> LeakAudit:
    return LeakAudit(warden)


@asynccontextmanager
async def child(code: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that the harness's own classes did not start."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe, env=environment)
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


@pytest.fixture
async def toxiproxy(toxiproxy_binary: Path, tmp_path: Path, warden: Warden) -> AsyncIterator[Toxiproxy]:
    server = await Toxiproxy.start(toxiproxy_binary, tmp_path, warden=warden)
    yield server
    await server.stop()


async def test_clean_test_has_no_findings(audit: LeakAudit, warden: Warden, tmp_path: Path) -> None:
    """What was there before, and what came and went, is not told."""
    old = warden.temp_folder("old-", tmp_path)
    with lease():
        await audit.before()
        new = warden.temp_folder("new-", tmp_path)
        process = await ManagedProcess.spawn(
            "sleeper",
            [sys.executable, "-c", "import time; time.sleep(600)"],
            env={},
            cwd=new,
            log_path=new / "log",
            warden=warden,
        )
        lease().release()
        await process.kill()
        warden.remove_folder(new)
        assert await audit.after() == []
        await audit.check()
    warden.remove_folder(old)


async def test_running_process_is_told(audit: LeakAudit, warden: Warden, tmp_path: Path) -> None:
    """A process of the harness that still runs is one line with its pid and command."""
    await audit.before()
    process = await ManagedProcess.spawn(
        "sleeper",
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env={},
        cwd=tmp_path,
        log_path=tmp_path / "log",
        warden=warden,
    )
    found = await audit.after(SETTLE_S)
    await process.kill()
    assert len(found) == 1
    assert found[0].startswith(f"process {process.pid} is still running, registered with the warden: {sys.executable}")


async def test_unregistered_child_is_told(audit: LeakAudit) -> None:
    """A child that was started past the warden is found all the same."""
    await audit.before()
    async with child("input()") as process:
        found = await audit.after(SETTLE_S)
    assert [line.partition(":")[0] for line in found] == [
        f"process {process.pid} is still running, not registered with the warden"
    ]


async def test_grandchild_is_told(audit: LeakAudit, warden: Warden) -> None:
    """A process whose parent, no child of ours, was one of ours is found by the mark that it inherited."""
    await audit.before()
    sleeper = "[sys.executable, '-c', 'import time; time.sleep(600)'], stdout=subprocess.DEVNULL"
    code = f"import subprocess, sys; print(subprocess.Popen({sleeper}).pid, flush=True); input()"
    async with child(code, {TOKEN_VARIABLE: warden.token}) as parent:
        assert parent.stdout is not None
        grandchild = int(await parent.stdout.readline())
    found = await audit.after(SETTLE_S)
    os.kill(grandchild, signal.SIGKILL)
    assert [line.partition(":")[0] for line in found] == [
        f"process {grandchild} is still running, not registered with the warden"
    ]


async def test_stale_registration_is_told(audit: LeakAudit, warden: Warden) -> None:
    """A process that ended but was never released is a line: its owner did not clean up."""
    await audit.before()
    async with child("input()") as process:
        warden.own_process(process.pid)
    try:
        found = await audit.after(SETTLE_S)
    finally:
        warden.release_process(process.pid)
    assert found == [f"process {process.pid} has ended and is still registered with the warden: release it"]


async def test_port_and_folder_are_told(audit: LeakAudit, warden: Warden, tmp_path: Path) -> None:
    """A lease and a temp folder that outlived the test are one line each."""
    await audit.before()
    folder = warden.temp_folder("left-", tmp_path)
    with lease() as port:
        found = await audit.after(SETTLE_S)
    warden.remove_folder(folder)
    assert found == [
        f"port {port.port} is still leased: release it or stop its server",
        f"temp folder {folder} is still there: remove_folder ends it",
    ]


async def test_a_mount_is_told(audit: LeakAudit, warden: Warden) -> None:
    """What lives in the kernel and is still the warden's is one line each."""
    await audit.before()
    warden.own_thing("mount", "/nowhere/disk")
    found = await audit.after(SETTLE_S)
    warden.end_thing("mount", "/nowhere/disk")
    assert found == ["mount /nowhere/disk is still there: end_thing takes it away"]


async def test_port_of_another_process_is_not_ours(audit: LeakAudit) -> None:
    """What another worker leases meanwhile is no finding."""
    code = "from harness.services.ports import lease; input(); held = lease(); print(held.port, flush=True); input()"
    async with child(code) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        await audit.before()
        other.stdin.write(b"\n")
        port = int(await other.stdout.readline())
        assert leased_ports()[port] == other.pid
        assert await audit.after(SETTLE_S) == []


async def test_task_and_thread_are_told(audit: LeakAudit) -> None:
    """A task and a thread that still run are one line each, by name."""
    await audit.before()
    end, go_on = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=end.wait, args=(30,), name="left-thread")
    thread.start()
    task = asyncio.create_task(go_on.wait(), name="left-task")
    found = await audit.after(SETTLE_S)
    go_on.set()
    end.set()
    await task
    thread.join()
    assert [line.partition(":")[0] for line in found] == [
        "task 'left-task' is still running",
        "thread 'left-thread' is still running",
    ]


async def test_what_is_about_to_end_is_given_a_moment(audit: LeakAudit) -> None:
    """A task that was cancelled but not awaited, and the loop's own pool, are no leaks."""
    await audit.before()
    await asyncio.to_thread(int)
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    assert await audit.after() == []


async def test_audit_does_not_tell_of_itself(audit: LeakAudit) -> None:
    """A fixture's set-up and tear-down run in tasks of their own: the one that asks is no leak."""
    await asyncio.create_task(audit.before())
    assert await asyncio.create_task(audit.after(SETTLE_S)) == []


async def test_leak_is_raised_by_check(audit: LeakAudit) -> None:
    """`check` is an error with the same line; without a `before` there is nothing to compare with."""
    with pytest.raises(LeakError, match="call before"):
        await audit.after()
    await audit.before()
    with lease() as port, pytest.raises(LeakError, match=f"^port {port.port} is still leased"):
        await audit.check(SETTLE_S)


async def test_namespace_is_told_unless_it_is_on_its_way_out(warden: Warden, admin: KubeAdmin) -> None:
    """A test's namespace that nobody deletes is a line; a terminating one and those of others are not."""
    audit = LeakAudit(warden, admin=admin)
    await admin.create_namespace("t-old")
    await audit.before()
    await admin.create_namespace("t-left")
    await admin.create_namespace("other-left")
    # Its finalizer keeps it: no controller runs here.
    await admin.create_namespace("t-going")
    await admin.request("DELETE", "/api/v1/namespaces/t-going")
    found = await audit.after(SETTLE_S)
    for name in ("t-left", "other-left", "t-going", "t-old"):
        await admin.delete_namespace(name)
    assert found == ["namespace t-left is still there and is not being deleted"]
    assert await audit.after() == []


async def test_proxy_is_told(warden: Warden, toxiproxy: Toxiproxy) -> None:
    """A proxy that was not deleted is a line, and so is its port."""
    audit = LeakAudit(warden, toxiproxy=toxiproxy)
    await toxiproxy.create("old", "127.0.0.1:1")
    await audit.before()
    proxy = await toxiproxy.create("left", "127.0.0.1:1")
    found = await audit.after(SETTLE_S)
    await proxy.delete()
    assert len(found) == 2
    assert found[1] == "toxiproxy's proxy left is still there: delete it"
    assert await audit.after() == []


async def test_audit_that_cannot_look_is_not_clean(warden: Warden, toxiproxy: Toxiproxy) -> None:
    """A service that hangs or is gone gives a line, never silence; before the test it is an error."""
    audit = LeakAudit(warden, toxiproxy=toxiproxy, look_within_s=1.0)
    await audit.before()
    toxiproxy.process.signal(signal.SIGSTOP)
    tasks = procfs.PROC / str(toxiproxy.process.pid) / "task"

    def stopped() -> bool | None:
        """Each of its threads: one that still runs may answer."""
        states = [stat.read_text().rpartition(")")[2].split()[0] for stat in tasks.glob("*/stat")]
        return True if set(states) == {"T"} else None

    await wait_for("toxiproxy to stop", stopped, deadline_s=10.0)
    assert await audit.after(SETTLE_S) == [
        "the leak audit did not come to an end within 1 s: kube-apiserver or toxiproxy hangs"
    ]
    await toxiproxy.process.kill()
    found = await audit.after(SETTLE_S)
    assert len(found) == 1
    assert found[0].startswith("the leak audit could not look: toxiproxy GET /proxies: no answer")
    with pytest.raises(ServiceError):
        await audit.before()


async def test_consumers_are_named_by_bucket(nats_binary: Path, tmp_path: Path, warden: Warden) -> None:
    """Every consumer of every bucket that exists, beyond one page of the server's answer."""
    async with AsyncExitStack() as stack:
        server = await NatsServer.start(nats_binary, tmp_path, warden=warden)
        stack.push_async_callback(server.stop)
        client = await nats.connect(server.url)
        stack.push_async_callback(client.close)
        js = client.jetstream()
        for bucket in (Bucket.DESIRED_STATE, Bucket.DEVICE_INFO):
            await js.add_stream(name=stream_name(bucket), subjects=[f"$KV.{bucket}.>"])
        names = {f"consumer-{i}" for i in range(300)}
        config = [ConsumerConfig(durable_name=name, mem_storage=True) for name in names]
        await asyncio.gather(*(js.add_consumer(stream_name(Bucket.DESIRED_STATE), one) for one in config))
        assert await consumers(client) == {Bucket.DESIRED_STATE: names, Bucket.DEVICE_INFO: frozenset()}
        assert await consumers(client, [Bucket.DEVICE_INFO]) == {Bucket.DEVICE_INFO: frozenset()}
