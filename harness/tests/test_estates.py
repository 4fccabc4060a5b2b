"""What a run that was killed leaves is found by the next one, which says so; nobody else's is touched."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.services import estates, procfs
from harness.services.estates import STATE_VARIABLE, clear_left_overs
from harness.services.warden import Warden
from harness.tests.test_warden import HARNESS, states
from harness.wait import wait_for

END_WITHIN_S = 20.0


@dataclass(frozen=True)
class Run:
    """A harness process, its warden, the four processes and the folder that it owns."""

    harness: subprocess.Popen[str]
    warden: int
    owned: list[int]
    folder: Path

    async def killed(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        if pid == self.harness.pid:
            await asyncio.to_thread(self.harness.wait, END_WITHIN_S)
        await self.gone([pid])

    async def gone(self, pids: list[int]) -> None:
        await wait_for("processes to be gone", lambda: None if states(pids) else True, deadline_s=END_WITHIN_S)


@asynccontextmanager
async def a_run(tmp_path: Path) -> AsyncIterator[Run]:
    environment = {**os.environ, STATE_VARIABLE: str(tmp_path / "state")}
    with subprocess.Popen(  # noqa: ASYNC220, S603 - the test's own program, no shell; it takes no wait
        [sys.executable, "-c", HARNESS, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    ) as harness:
        try:
            assert harness.stdout is not None
            warden, *owned, folder = (await asyncio.to_thread(harness.stdout.readline)).split()
            yield Run(harness, int(warden), [int(pid) for pid in owned], Path(folder))
        finally:
            harness.kill()


def cleared(tmp_path: Path) -> list[str]:
    return list(clear_left_overs({STATE_VARIABLE: str(tmp_path / "state")}))


def files(tmp_path: Path) -> list[Path]:
    return sorted(estates.folder({STATE_VARIABLE: str(tmp_path / "state")}).glob("*"))


async def test_the_next_run_says_what_a_warden_cleared(tmp_path: Path) -> None:
    """The harness alone was killed: its warden did the work, and once, the next run tells."""
    async with a_run(tmp_path) as run:
        await run.killed(run.harness.pid)
        (told,) = cleared(tmp_path)
    assert f"an earlier run (pid {run.harness.pid}, " in told
    assert "was killed; its warden cleared 4 processes, 1 folder" in told
    assert "now" not in told
    assert not run.folder.exists()
    assert cleared(tmp_path) == []
    assert files(tmp_path) == []


async def test_the_next_run_clears_what_nobody_did(tmp_path: Path) -> None:
    """The warden was killed first: processes and folder are still there, until the next run ends them."""
    async with a_run(tmp_path) as run:
        await run.killed(run.warden)
        await run.killed(run.harness.pid)
        assert len(states(run.owned)) == 4
        assert run.folder.exists()
        (told,) = cleared(tmp_path)
        await run.gone(run.owned)
    assert "was killed together with its warden; cleared now: 4 processes, 1 folder" in told
    assert not run.folder.exists()
    assert files(tmp_path) == []


async def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    """Even one whose warden is gone: its harness lives."""
    async with a_run(tmp_path) as run:
        assert cleared(tmp_path) == []
        await run.killed(run.warden)
        assert cleared(tmp_path) == []
        assert len(states(run.owned)) == 4
        await run.killed(run.harness.pid)
        assert len(cleared(tmp_path)) == 1


async def test_pids_of_an_earlier_boot_are_nobodys(tmp_path: Path) -> None:
    """After a reboot the numbers belong to others; folders are still ours."""
    async with a_run(tmp_path) as run:
        await run.killed(run.warden)
        await run.killed(run.harness.pid)
        (path,) = files(tmp_path)
        first, rest = path.read_text().split("\n", 1)
        who = json.loads(first)
        who[3] = "another-boot"
        path.write_text(json.dumps(who) + "\n" + rest)
        (told,) = cleared(tmp_path)
        assert "cleared now: 1 folder" in told
        left = states(run.owned)
        assert len(left) == 4
        for state in left:
            procfs.kill(state)
    assert not run.folder.exists()


@pytest.mark.parametrize("text", ["", "garbage\n", '["harness", "x", 1, "", ""]\n', "[]\n"])
def test_a_file_that_is_no_estate_is_left(tmp_path: Path, text: str) -> None:
    """Nobody knows whose it is."""
    folder = estates.folder({STATE_VARIABLE: str(tmp_path / "state")})
    folder.mkdir(parents=True)
    (folder / "x.jsonl").write_text(text)
    assert cleared(tmp_path) == []
    assert files(tmp_path) == [folder / "x.jsonl"]


def test_an_orderly_end_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the warden had something to end: its harness knows."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with Warden() as warden:
        warden.temp_folder("left-", tmp_path)
        (path,) = files(tmp_path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert files(tmp_path) == []


def test_without_a_place_for_it_a_warden_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that may not be written costs the next run's knowledge, nothing else."""
    (tmp_path / "state").write_text("a file")
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with Warden() as warden:
        folder = warden.temp_folder("left-", tmp_path)
    assert not folder.exists()
    assert cleared(tmp_path) == []
