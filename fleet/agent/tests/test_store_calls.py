"""The store at each of its system calls: killed there, or out of space there, by strace and from outside.

A clean run lists the calls that come after the child said that it begins. Then each of them gets its turn, and what the
disk holds is exactly what the calls before it made of it.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import fleet
from fleet.agent.layout import Layout
from fleet.agent.store import Kept, Store
from fleet.wire import deployment_name

pytestmark = pytest.mark.needs("strace-inject")

# Whatever changes a disk or may find it full. Those with a question mark are not there on every machine.
CALLS = "openat,write,close,fchmod,fsync,?rename,?renameat,?renameat2,?unlink,unlinkat,?mkdir,mkdirat"
COMMITS = re.compile("rename|unlink")
BEGIN = "/the-store-begins-here"
DEADLINE_S = 30.0
WEB, DB = deployment_name("web"), deployment_name("db")
OLD, NEW = (
    b'{"owner":{"generation":%d,"uid":"u"},"score":{"lifecycle":{"grace_period_secs":1,"stop_signal":"SIGTERM"},'
    b'"services":[{"image":"i","name":"s"}]}}' % generation
    for generation in (1, 2)
)
REPORT = b'{"last_event_at":"2026-11-21T09:30:00.000000Z","owner":{"generation":1,"uid":"u"},"phase":"Running"}'
# It ends by `_exit`, so that Python's own end makes no calls.
CHILD = f"""
import os, sys
from pathlib import Path
from fleet.agent.layout import Layout
from fleet.agent.store import Store
from fleet.errors import ArtifactError

layout = Layout(Path(sys.argv[2]))
if sys.argv[1] != "make":
    store = Store(layout)
try:
    os.open({BEGIN!r}, os.O_RDONLY)
except FileNotFoundError:
    pass
try:
    {{
        "make": lambda: Store(layout),
        "load": lambda: store.load(),
        "desired": lambda: store.keep_desired("web", {NEW!r}),
        "forget": lambda: store.forget("web"),
    }}[sys.argv[1]]()
except ArtifactError as e:
    print(e, flush=True)
    os._exit(1)
os._exit(0)
"""


@dataclass(frozen=True)
class Act:
    """`states` is what the disk holds of `web` before it, and after each of its renames and removals."""

    name: str
    states: tuple[Kept | None, ...]

    def prepare(self, root: Path) -> None:
        layout = Layout(root)
        if self.name == "make":
            return
        store = Store(layout)
        store.keep_desired(DB, OLD)
        if self.name == "desired":
            store.keep_desired(WEB, OLD)
        if self.name == "forget":
            store.keep_deleted(WEB)
            store.keep_report(WEB, REPORT)
        if self.name == "load":
            layout.desired(WEB).write_bytes(b"desired and damaged")
            layout.deployments.joinpath(".web.desired.tmp").touch()


ACTS = (
    Act("make", (None,)),
    Act("load", (None, None, None)),
    Act("desired", (Kept(OLD), Kept(NEW))),
    Act("forget", (Kept(deleted=True, report=REPORT), Kept(deleted=True), None)),
)


@dataclass(frozen=True)
class Run:
    """`calls` are the names of the calls after the beginning, `before` how many of each came before it."""

    code: int
    said: str
    calls: list[str]
    before: Counter[str]
    lines: list[str]


def run(act: Act, root: Path, inject: str | None = None) -> Run:
    log = root.with_suffix(".calls")
    strace: list[str | Path] = ["strace", "-f", "-qq", "-o", log, "-e", f"trace={CALLS}"]
    tamper = ["-e", f"inject={inject}"] if inject else []
    ended = subprocess.run(  # noqa: S603 - its own arguments
        [*strace, *tamper, sys.executable, "-B", "-c", CHILD, act.name, root],
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(Path(fleet.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    lines = log.read_text().splitlines()
    named = [found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line))]
    begin = next((index for index, line in enumerate(lines) if BEGIN in line), len(lines))
    assert not ended.stderr, ended.stderr
    return Run(ended.returncode, ended.stdout, named[begin + 1 :], Counter(named[: begin + 1]), lines[begin + 1 :])


def points(clean: Run) -> list[tuple[str, int, int]]:
    """Each call as its name, its number in the whole process, and how many commits come before it."""
    seen, found, commits = clean.before.copy(), [], 0
    for name in clean.calls:
        seen[name] += 1
        found.append((name, seen[name], commits))
        commits += bool(COMMITS.match(name))
    return found


def held(root: Path) -> Kept | None:
    """What an agent finds that starts now; nothing is spoilt, nothing is left over, and it can go on."""
    layout = Layout(root)
    store = Store(layout)
    found = store.load().kept.get(WEB)
    store.keep_desired(WEB, NEW)
    store.keep_report(WEB, REPORT)
    again = store.load()
    assert (again.kept[WEB], again.troubles) == (Kept(NEW, report=REPORT), [])
    assert not [path for path in layout.deployments.iterdir() if path.name.startswith(".")]
    return found


@pytest.mark.rule("A10", "A18", "A19")
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_killed_at_each_call(act: Act, tmp_path: Path) -> None:
    """Before the rename it is the old, from then on the new; the tombstone outlives all that it stands for."""
    act.prepare(tmp_path / "clean")
    clean = run(act, tmp_path / "clean")
    assert (clean.code, clean.said) == (0, "")
    assert held(tmp_path / "clean") == act.states[-1]
    for name, nth, commits in points(clean):
        root = tmp_path / f"{name}-{nth}"
        act.prepare(root)
        killed = run(act, root, f"{name}:signal=SIGKILL:when={nth}")
        assert killed.code == -9, (name, nth)
        assert killed.lines[-1].endswith("+++ killed by SIGKILL +++"), (name, nth)
        assert held(root) == act.states[commits], (name, nth)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_a_full_disk_at_each_call(act: Act, tmp_path: Path) -> None:
    """One line that says so, and the old file stays (the new one, if only the last flush failed); no half of either."""
    act.prepare(tmp_path / "clean")
    for name, nth, commits in points(run(act, tmp_path / "clean")):
        root = tmp_path / f"{name}-{nth}"
        act.prepare(root)
        full = run(act, root, f"{name}:error=ENOSPC:when={nth}")
        assert any("(INJECTED)" in line for line in full.lines), (name, nth)
        # A file that can't be cleared or set aside is no reason not to start.
        if act.name != "load":
            assert full.code == 1, (name, nth)
            # What did not fit takes no space.
            assert not list(root.rglob(".*")), (name, nth)
        if full.code:
            assert "No space left on device" in full.said, (name, nth)
            assert full.said.count("\n") == 1
        assert held(root) == act.states[commits], (name, nth)
