"""Ctrl-C at every place of a test session: nothing is left half-made, and it is never lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
filterwarnings = error
"""
HEAD = """
import asyncio
import os
import signal

import pytest
import pytest_asyncio

def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)

def say(word):
    with open("said", "a") as file:
        file.write(word + "\\n")

@pytest_asyncio.fixture
async def thing():
    say("made")
    yield "thing"
    say("closed")
"""
LAST = """
def test_last(thing):
    say("last")
"""
IN_A_FIXTURE = """
@pytest_asyncio.fixture
async def world(thing):
    ctrl_c()
    await asyncio.sleep(0)
    say("world made")
    yield
    say("world closed")

async def test_first(world):
    say("first")
"""
IN_A_PLAIN_FIXTURE = """
@pytest.fixture
def world(thing):
    ctrl_c()
    say("world made")
    yield
    say("world closed")

def test_first(world):
    say("first")
"""
IN_THE_BODY = """
async def test_first(thing):
    asyncio.get_running_loop().call_soon(ctrl_c)
    await asyncio.Event().wait()
"""
ASLEEP_IN_THE_BODY = """
import threading

async def test_first(thing):
    timer = threading.Timer(0.1, ctrl_c)
    timer.start()
    await asyncio.Event().wait()
"""
IN_A_PLAIN_BODY = """
def test_first(thing):
    ctrl_c()
    say("first goes on")
"""
SWALLOWED = """
async def test_first(thing):
    try:
        ctrl_c()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("swallowed")
"""
IN_A_FINALIZER = """
class Finalized:
    def __del__(self):
        ctrl_c()

async def test_first(thing):
    finalized = Finalized()
    del finalized
    await asyncio.Event().wait()
"""
IN_A_CALLBACK = """
async def test_first(thing):
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: ctrl_c())
    future.set_result(None)
    await asyncio.Event().wait()
"""
IN_A_TEARDOWN = """
@pytest_asyncio.fixture
async def world(thing):
    yield
    ctrl_c()
    await asyncio.sleep(0)
    say("world closed")

async def test_first(world):
    say("first")
"""
TWICE = """
@pytest.fixture
def world(thing):
    ctrl_c()
    say("once")
    ctrl_c()
    say("twice")

def test_first(world):
    pass
"""


def session(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own; what is in its way of an end is found by a deadline."""
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_it.py").write_text(HEAD + text)
    return subprocess.run(  # noqa: S603 - fixed arguments, no shell
        [sys.executable, "-m", "pytest", "-p", "harness.plugin", "-q", "--runs", tmp_path / "runs"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (IN_A_FIXTURE, ["made", "world made", "world closed", "closed"]),
        (IN_A_PLAIN_FIXTURE, ["made", "world made", "world closed", "closed"]),
        (IN_THE_BODY, ["made", "closed"]),
        (ASLEEP_IN_THE_BODY, ["made", "closed"]),
        (IN_A_PLAIN_BODY, ["made", "closed"]),
        (SWALLOWED, ["made", "swallowed", "closed"]),
        (IN_A_FINALIZER, ["made", "closed"]),
        (IN_A_CALLBACK, ["made", "closed"]),
        (IN_A_TEARDOWN, ["made", "first", "world closed", "closed"]),
        (TWICE, ["made", "once", "closed"]),
    ],
    ids=[
        "in-a-fixture",
        "in-a-plain-fixture",
        "in-the-body",
        "asleep-in-the-body",
        "in-a-plain-body",
        "swallowed",
        "in-a-finalizer",
        "in-a-callback",
        "in-a-teardown",
        "twice",
    ],
)
def test_it_ends_the_session_where_all_is_owned(text: str, said: list[str], tmp_path: Path) -> None:
    """What was made is closed, the next test does not run, and pytest ends as interrupted."""
    ended = session(tmp_path, text + LAST)
    assert (tmp_path / "said").read_text().split("\n")[:-1] == said
    assert ended.returncode == pytest.ExitCode.INTERRUPTED, ended.stdout + ended.stderr
    assert "KeyboardInterrupt" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_an_end_that_came_anyway_is_no_interruption(tmp_path: Path) -> None:
    """After the last test there is nothing left to end: what it found counts."""
    ended = session(tmp_path, IN_A_TEARDOWN)
    assert ended.returncode == pytest.ExitCode.OK, ended.stdout
    assert "1 passed" in ended.stdout


def test_another_ones_handler_stays(tmp_path: Path) -> None:
    """Whoever embeds pytest and handles Ctrl-C goes on to."""
    (tmp_path / "test_it.py").write_text(HEAD + LAST)
    program = (
        "import signal, sys, pytest\n"
        "own = lambda *_: None\n"
        "signal.signal(signal.SIGINT, own)\n"
        "class Look:\n"
        "    def pytest_runtest_call(self): assert signal.getsignal(signal.SIGINT) is own\n"
        "sys.exit(pytest.main(['-p', 'harness.plugin', '-q', '--runs', 'runs'], plugins=[Look()]))\n"
    )
    ended = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stdout
