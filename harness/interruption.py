"""Ctrl-C while tests run: noted at once, obeyed where all that was started has an owner.

Python raises KeyboardInterrupt between any two of its instructions. In the middle of a fixture it leaves clients that
nobody closes; in a callback or a finalizer, or where a cancellation is swallowed, it is lost and the run goes on. Here
the first one cancels the body of the test that runs, and the run ends before its next step at the latest. A second one
is Python's own again, for whoever cannot wait.
"""

import asyncio
import inspect
import signal
import threading
from collections.abc import Generator
from types import CodeType, FrameType

import pytest


class Interruption:
    """A pytest plugin, for the process that runs tests. It leaves a handler that is somebody else's alone."""

    def __init__(self) -> None:
        self._noted = False
        self._body: pytest.Item | None = None
        self._code: CodeType | None = None

    @classmethod
    def register(cls, config: pytest.Config) -> None:
        """From the first test to the end of the session. The controller of xdist's workers runs no test."""
        is_controller = bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")
        in_main_thread = threading.current_thread() is threading.main_thread()
        if is_controller or not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return
        interruption = cls()
        config.pluginmanager.register(interruption, "fleetproof-interruption")
        config.add_cleanup(interruption.withdraw)

    def withdraw(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def pytest_collection_finish(self) -> None:
        signal.signal(signal.SIGINT, self._note)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        self._obey()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        self._obey()
        # Before anybody puts something synchronous in its place.
        self._body, self._code = item, getattr(getattr(item, "obj", None), "__code__", None)
        try:
            yield
        except asyncio.CancelledError:
            self._obey()
            raise
        finally:
            self._body = self._code = None

    def _obey(self) -> None:
        if self._noted:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._noted:
            signal.default_int_handler(number, frame)
        self._noted = True
        if self._body is None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if not inspect.iscoroutinefunction(getattr(self._body, "obj", None)):
                raise KeyboardInterrupt from None
            # On its way into the loop, or out of it.
            return
        for task in asyncio.all_tasks(loop):
            if getattr(task.get_coro(), "cr_code", None) is self._code:
                task.cancel()
        # It may sleep in select, which goes on after a signal.
        loop.call_soon_threadsafe(int)
