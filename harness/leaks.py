"""The leak audit: what is there after a test and was not there before it, one line each.

    before() -> snapshot ... the test ... after() -> lines

What lives as long as the worker (the foundation's processes, ports, folders) is in the first snapshot, so it is never
told. A cancelled task or a killed process needs a moment to be gone: `after` gives it that, and no more.
"""

import asyncio
import contextlib
import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
import psutil
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from fleet.wire import Bucket, stream_name
from harness.errors import HarnessError, LeakError, WaitTimeout
from harness.services import procfs
from harness.services.kube_client import KubeAdmin
from harness.services.ports import own_ports
from harness.services.toxiproxy import Toxiproxy
from harness.services.warden import TOKEN_VARIABLE, Warden
from harness.wait import wait_for

# Nobody waits that long unless something is left.
SETTLE_WITHIN_S: Final = 10.0
# A busy machine may need it for one look.
LOOK_WITHIN_S: Final = 10.0
NAMESPACE_PREFIX: Final = "t-"
_COMMAND_CHARS_MAX: Final = 120
# Threads of asyncio's own: its pool ends with the loop, its waiter for a child with the child, which is told itself.
_ASYNCIO_THREADS: Final = ("asyncio_", "asyncio-waitpid-")

Snapshot = Mapping[Hashable, str]
"""What exists: its identity -> the line that tells of it if it is new. Objects are their own identity, and held, so
that no later one gets their number."""


class LeakAudit:
    """One per test: `before` it, then `after` or `check`. Owns nothing.

    `admin` and `toxiproxy` are asked only if given, and have `look_within_s` for their first answer.
    """

    def __init__(
        self,
        warden: Warden,
        *,
        admin: KubeAdmin | None = None,
        toxiproxy: Toxiproxy | None = None,
        look_within_s: float = LOOK_WITHIN_S,
    ) -> None:
        self._warden = warden
        self._admin = admin
        self._toxiproxy = toxiproxy
        self._look_within_s = look_within_s
        self._before: Snapshot | None = None

    async def before(self) -> None:
        """Raises HarnessError if Kubernetes or toxiproxy can't be asked."""
        self._before = await self._snapshot()

    async def after(self, settle_s: float = SETTLE_WITHIN_S) -> list[str]:
        """One line per leak, empty if there is none. What can't be audited any more is a line too."""
        if self._before is None:
            raise LeakError("the leak audit has no snapshot from before the test; call before() first")
        known = self._before
        found: list[str] = []

        async def clean() -> bool | None:
            try:
                now = await self._snapshot()
            except HarnessError as error:
                found[:] = [f"the leak audit could not look: {error}"]
            else:
                found[:] = sorted(line for identity, line in now.items() if identity not in known)
            return None if found else True

        # What was left has `settle_s` to go from the first look on, however long that one took.
        try:
            async with asyncio.timeout(self._look_within_s):
                await clean()
        except TimeoutError:
            limit = f"within {self._look_within_s:g} s"
            return [f"the leak audit did not come to an end {limit}: kube-apiserver or toxiproxy hangs"]
        if found:
            with contextlib.suppress(WaitTimeout):
                await wait_for("nothing to be left over", clean, deadline_s=settle_s)
        return found

    async def check(self, settle_s: float = SETTLE_WITHIN_S) -> None:
        """As `after`, but raises LeakError with all lines."""
        if found := await self.after(settle_s):
            raise LeakError("\n".join(found))

    async def _snapshot(self) -> Snapshot:
        return {
            **dict(_processes(self._warden)),
            **dict(_ports()),
            **dict(_folders(self._warden)),
            **dict(_things(self._warden)),
            **dict(_tasks()),
            **dict(_threads()),
            **({} if self._admin is None else await _namespaces(self._admin)),
            **({} if self._toxiproxy is None else await _proxies(self._toxiproxy)),
        }


async def consumers(client: Client, buckets: Iterable[Bucket] = Bucket) -> dict[Bucket, frozenset[str]]:
    """The names of the JetStream consumers of each bucket that exists: compare before and after.

    Raises:
        nats.errors.Error: the server did not answer.
    """
    stream_manager = client.jetstream()
    found = {}
    for bucket in buckets:
        names = set[str]()
        try:
            # Pages of the server's size; an empty one is the end.
            while page := await stream_manager.consumers_info(stream_name(bucket), offset=len(names)):
                names.update(info.name for info in page)
        except NotFoundError:
            continue
        found[bucket] = frozenset(names)
    return found


def _processes(warden: Warden) -> Iterator[tuple[Hashable, str]]:
    registered = warden.registered_pids
    # A child without the warden's mark was started past the harness's own classes; a grandchild carries the mark.
    candidates = {*registered, *(child.pid for child in psutil.Process().children())}
    known = {pid: state for pid in candidates if (state := procfs.process_state(pid)) is not None and state.alive}
    known |= {state.pid: state for state in procfs.with_environment(f"{TOKEN_VARIABLE}={warden.token}")}
    for pid in registered - known.keys():
        yield ("registration", pid), f"process {pid} has ended and is still registered with the warden: release it"
    for pid, state in known.items():
        owner = "registered with the warden" if pid in registered else "not registered with the warden"
        yield ("process", pid, state.start_ticks), f"process {pid} is still running, {owner}: {_command(pid)}"


def _command(pid: int) -> str:
    try:
        argv = (procfs.PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return "gone meanwhile"
    return argv.replace(b"\0", b" ").decode(errors="replace").strip()[:_COMMAND_CHARS_MAX]


def _ports() -> Iterator[tuple[Hashable, str]]:
    for port in own_ports():
        yield ("port", port), f"port {port} is still leased: release it or stop its server"


def _folders(warden: Warden) -> Iterator[tuple[Hashable, str]]:
    for path in warden.registered_folders:
        yield ("folder", path), f"temp folder {path} is still there: remove_folder ends it"


def _things(warden: Warden) -> Iterator[tuple[Hashable, str]]:
    for kind, name in warden.registered_things:
        yield (kind, name), f"{kind} {name} is still there: end_thing takes it away"


def _tasks() -> Iterator[tuple[Hashable, str]]:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        yield task, f"task {task.get_name()!r} is still running: {task.get_coro()}"


def _threads() -> Iterator[tuple[Hashable, str]]:
    for thread in threading.enumerate():
        if not thread.name.startswith(_ASYNCIO_THREADS):
            yield thread, f"thread {thread.name!r} is still running"


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str
    deletion_timestamp: str | None = None


class _Namespace(msgspec.Struct):
    metadata: _Metadata


class _Namespaces(msgspec.Struct):
    """The fields of a v1 NamespaceList that matter here."""

    items: list[_Namespace]


async def _namespaces(admin: KubeAdmin) -> Snapshot:
    answer = await admin.request("GET", "/api/v1/namespaces")
    try:
        listed = [item.metadata for item in msgspec.convert(answer, _Namespaces).items]
    except msgspec.ValidationError as error:
        raise HarnessError(f"the API server's list of namespaces is none: {error}") from error
    return {
        ("namespace", it.uid): f"namespace {it.name} is still there and is not being deleted"
        for it in listed
        if it.name.startswith(NAMESPACE_PREFIX) and it.deletion_timestamp is None
    }


async def _proxies(toxiproxy: Toxiproxy) -> Snapshot:
    answer = await toxiproxy.call("GET", "/proxies")
    if not isinstance(answer, dict):
        raise HarnessError("toxiproxy's list of proxies is not an object")
    return {("proxy", name): f"toxiproxy's proxy {name} is still there: delete it" for name in answer}
