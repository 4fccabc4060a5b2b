"""The operator under test: a program started from the environment variables of docs/contract.md, nothing more.

Its /recovery is asked again and again while it lives, so that the history has when each source was current.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import aiohttp
import msgspec

from harness.errors import ServiceError
from harness.history import Recorder, Recovery, SourceProgress
from harness.services.ports import HOST, PortLease, lease
from harness.services.process import ManagedProcess
from harness.services.warden import Warden
from harness.wait import ticks, wait_for

POLL_EVERY_S = 0.025
CONVERGED = "Converged"
_PAGE_BYTES_MAX = 16 * 1024 * 1024


class _Source(msgspec.Struct):
    seen: int = 0
    expected: int | None = None
    current: bool = False
    trouble: str | None = None


class _Answer(msgspec.Struct):
    phase: str
    sources: dict[str, _Source] = {}
    # Whatever it says here is in its own form.
    sweep: object = None


class OperatorProcess:
    """One life of an operator: its process, its HTTP port and the reader of its /recovery."""

    def __init__(self, process: ManagedProcess, port: PortLease, recorder: Recorder) -> None:
        self.process = process
        self.recovery: Recovery | None = None
        self._port = port
        self._recorder = recorder
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2))
        self._reader = asyncio.create_task(self._read(), name=f"recovery of {process.name}")

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        name: str,
        nats_url: str,
        kubeconfig: Path,
        namespace: str,
        folder: Path,
        warden: Warden,
        recorder: Recorder,
        extra: Mapping[str, str] | None = None,
    ) -> Self:
        port = lease()
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "FLEET_NATS_URL": nats_url,
            "KUBECONFIG": str(kubeconfig),
            "FLEET_NAMESPACE": namespace,
            "FLEET_HTTP_ADDR": f"{HOST}:{port.port}",
            **(extra or {}),
        }
        try:
            process = await ManagedProcess.spawn(
                name,
                command,
                env=environment,
                cwd=folder,
                log_path=folder / f"{name}.log",
                warden=warden,
                recorder=recorder,
                settings=extra,
            )
        except BaseException:
            port.release()
            raise
        return cls(process, port, recorder)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port.port}"

    @property
    def converged(self) -> bool:
        return self.recovery is not None and self.recovery.phase == CONVERGED

    async def wait_converged(self, deadline_s: float) -> Recovery:
        """The answer in which it said Converged. Raises at once, with its last words, if it exits."""

        def probe() -> Recovery | None:
            self.process.check_running()
            return self.recovery if self.converged else None

        return await wait_for(f"{self.process.name} to converge", probe, deadline_s=deadline_s)

    async def wait_answering(self, deadline_s: float) -> Recovery:
        """Its first answer on /recovery. Raises at once, with its last words, if it exits."""

        def probe() -> Recovery | None:
            self.process.check_running()
            return self.recovery

        return await wait_for(f"{self.process.name} to answer /recovery", probe, deadline_s=deadline_s)

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its HTTP pages, which may be anything: it is what is under test."""
        content = b""
        try:
            async with self._session.get(self.url + path) as answer:
                async for chunk in answer.content.iter_any():
                    content += chunk
                    if len(content) > _PAGE_BYTES_MAX:
                        raise ServiceError(f"{self.process.name}: {path} is over {_PAGE_BYTES_MAX} bytes")
                return answer.status, content.decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise ServiceError(f"{self.process.name} does not answer {path}: {e}") from e

    async def close(self) -> None:
        """Kill it if it lives, and give its port back. Idempotent."""
        try:
            await self.process.kill()
        finally:
            self._reader.cancel()
            await asyncio.wait({self._reader})
            await self._session.close()
            self._port.release()
        if not self._reader.cancelled():
            self._reader.result()

    async def _read(self) -> None:
        async for _ in ticks(POLL_EVERY_S):
            try:
                _, text = await self.get("/recovery")
                answer = msgspec.json.decode(text, type=_Answer)
            except (ServiceError, msgspec.MsgspecError):
                continue
            self._note(answer)

    def _note(self, answer: _Answer) -> None:
        """Record an answer that differs from the one before."""
        sources = {
            name: SourceProgress(seen=s.seen, expected=s.expected, current=s.current, trouble=s.trouble)
            for name, s in answer.sources.items()
        }
        held = None if answer.sweep is None else msgspec.json.encode(answer.sweep).decode()
        last = self.recovery
        if last is not None and (last.phase, last.sources, last.held) == (answer.phase, sources, held):
            return
        self.recovery = Recovery(
            at_s=self._recorder.now_s, process=self.process.name, phase=answer.phase, sources=sources, held=held
        )
        self._recorder.add(self.recovery)
