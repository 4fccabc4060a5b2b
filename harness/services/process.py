"""One child process under control: spawned, watched, signalled, reaped, and never left behind.

    spawn -> [pidfd becomes readable] -> kill what is left of its group -> reap -> record -> `exited` is set

Its exit is an event of the kernel, so the history has it as close as this machine allows. Output goes
straight to a file: neither a stopped harness nor a dead one can block or break the child.
"""

import asyncio
import contextlib
import os
import re
import signal as signals
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from harness.errors import ServiceError, WaitTimeout
from harness.history import Process, Recorder
from harness.services import procfs
from harness.services.namespaces import Placement, started_in
from harness.services.warden import TOKEN_VARIABLE, Warden
from harness.wait import wait_for

KILL_WITHIN_S = 10.0
TAIL_BYTES = 64 * 1024
_LOG_INTERVAL_S = 0.005
_LAST_WORDS_LINES = 5


class ManagedProcess:
    """A child and its process group. Made by `spawn`; ended by `kill`, `stop`, or itself."""

    def __init__(
        self, name: str, popen: subprocess.Popen[bytes], log_path: Path, warden: Warden, recorder: Recorder | None
    ) -> None:
        self.name = name
        self.pid = popen.pid
        self.log_path = log_path
        self.exited = asyncio.Event()
        self.exit_code: int | None = None
        self._popen = popen
        self._warden = warden
        self._recorder = recorder
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)

    @classmethod
    async def spawn(
        cls,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log_path: Path,
        warden: Warden,
        recorder: Recorder | None = None,
        settings: Mapping[str, str] | None = None,
        placement: Placement | None = None,
    ) -> Self:
        """Start `argv` in a session of its own, with exactly `env` (and the warden's mark) around it.

        Output is appended to `log_path` (mode 0600): take a `log_mark` first if an earlier life wrote there.
        `settings` are what of `env` the history is to tell. `placement` puts it into namespaces that are not ours.

        Raises:
            ServiceError: the program cannot be started.
        """
        log = _open_log(log_path)

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(  # noqa: S603 - fork and exec take no wait; argv is the caller's, no shell
                [os.fspath(part) for part in argv],
                env={**env, TOKEN_VARIABLE: warden.token},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        try:
            popen = start() if placement is None else started_in(placement, start)
        except OSError as e:
            raise ServiceError(f"{name}: {os.fspath(argv[0])} cannot be started: {e.strerror}") from e
        finally:
            os.close(log)
        warden.own_process(popen.pid)
        process = cls(name, popen, log_path, warden, recorder)
        process.record("spawned", settings=settings)
        return process

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def check_running(self) -> None:
        """Raises ServiceError with its last words if it has exited: for probes that wait for it."""
        if not self.running:
            raise ServiceError(f"{self.name} exited with {self.exit_code}{self._last_words()}")

    async def wait_exit(self, deadline_s: float) -> int:
        """Its exit code, negative for a signal. Raises WaitTimeout if it lives on."""
        try:
            async with asyncio.timeout(deadline_s):
                await self.exited.wait()
        except TimeoutError as e:
            raise WaitTimeout(f"{self.name} (pid {self.pid}) did not exit within {deadline_s:g} s") from e
        if self.exit_code is None:
            raise AssertionError("`exited` is set with the code")
        return self.exit_code

    def signal(self, sig: signals.Signals) -> None:
        """Send a signal to the process, not to its group. Raises ServiceError if it has exited."""
        if not self.running:
            raise ServiceError(f"{self.name} (pid {self.pid}) exited with {self.exit_code}: it cannot get {sig.name}")
        # Recorded first: what the signal causes must not stand before it in the history.
        self.record("signalled", signal=sig)
        with contextlib.suppress(ProcessLookupError):
            # It may have died this instant; `_on_exit` is about to tell.
            signals.pidfd_send_signal(self._pidfd, sig)

    async def kill(self) -> int:
        """SIGKILL the group, reap, and return the exit code once no member of the group is alive."""
        if self.running:
            self.record("signalled", signal=signals.SIGKILL)
            self._kill_group()
        code = await self.wait_exit(KILL_WITHIN_S)
        await self._group_gone()
        return code

    async def stop(self, grace_s: float = 5.0) -> int:
        """SIGTERM (after SIGCONT, should it be stopped), then after the grace SIGKILL. Returns the exit code."""
        if self.running:
            self.signal(signals.SIGTERM)
            with contextlib.suppress(ProcessLookupError):
                signals.pidfd_send_signal(self._pidfd, signals.SIGCONT)
            with contextlib.suppress(WaitTimeout):
                await self.wait_exit(grace_s)
        return await self.kill()

    def log_mark(self) -> int:
        """An offset: a search `since` it sees only what is written later."""
        return log_mark(self.log_path)

    async def wait_log(self, pattern: str, *, since: int, deadline_s: float) -> re.Match[str]:
        """The first complete line at or after `since` that `pattern` is found in.

        Raises:
            ServiceError: the process exited without such a line; the text has the end of its log.
            WaitTimeout: the deadline passed.
        """
        wanted = re.compile(pattern)
        offset = since

        def probe() -> re.Match[str] | None:
            nonlocal offset
            # Asked before reading: then everything an exited process wrote is read below.
            ended = not self.running
            with self.log_path.open("rb") as log:
                log.seek(offset)
                data = log.read()
            complete = len(data) if ended else data.rfind(b"\n") + 1
            for line in data[:complete].decode(errors="replace").splitlines():
                if (match := wanted.search(line)) is not None:
                    return match
            offset += complete
            if ended:
                raise ServiceError(
                    f"{self.name} exited with {self.exit_code} before it logged {pattern!r}{self._last_words()}"
                )
            return None

        try:
            return await wait_for(
                f"{pattern!r} in the log of {self.name}", probe, deadline_s=deadline_s, interval_s=_LOG_INTERVAL_S
            )
        except WaitTimeout as e:
            raise WaitTimeout(f"{e}{self._last_words()}") from e

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def record(
        self,
        event: Literal["spawned", "ready", "signalled", "exited"],
        signal: signals.Signals | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Add to the history. Owners call it with "ready", which only they can judge."""
        if self._recorder is not None:
            self._recorder.add(
                Process(
                    at_s=self._recorder.now_s,
                    name=self.name,
                    event=event,
                    pid=self.pid,
                    signal=signal.name if signal else None,
                    exit_code=self.exit_code,
                    settings=dict(settings or {}),
                    last_words=self.tail(_LAST_WORDS_LINES) if event == "exited" and (self.exit_code or 0) > 0 else "",
                )
            )

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        # The process is a zombie until we reap it, so its number is still ours and so is the group's.
        self._kill_group()
        self.exit_code = self._popen.wait()
        os.close(self._pidfd)
        self.record("exited")
        self._warden.release_process(self.pid)
        self.exited.set()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signals.SIGKILL)

    async def _group_gone(self) -> None:
        def probe() -> bool | None:
            return None if procfs.group_members(self.pid) else True

        await wait_for(f"the children of {self.name} (group {self.pid}) to die", probe, deadline_s=KILL_WITHIN_S)

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.tail(5).splitlines() if line.strip()]
        # One line for a person: an error's text is one.
        return f"; its log ends: {' | '.join(lines)}" if lines else "; its log is empty"


def _open_log(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def log_mark(path: Path) -> int:
    """The size of a log now, 0 if there is none yet: take it before a restart that appends."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
