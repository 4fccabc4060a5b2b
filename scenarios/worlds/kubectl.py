"""The real kubectl, as an administrator uses it in the namespace of an environment."""

import asyncio
import os
from pathlib import Path
from typing import Self

from harness.env import Environment
from harness.errors import ServiceError
from harness.toolchain import KUBECTL, Toolchain

COMMAND_WITHIN_S = 30.0


class Kubectl:
    """Made by `of`. It is built the first time that a machine needs it, which takes a minute."""

    def __init__(self, program: Path, home: Path, kubeconfig: Path) -> None:
        self._program = program
        self._home = home
        self._kubeconfig = kubeconfig

    @classmethod
    async def of(cls, env: Environment) -> Self:
        """Raises MissingPart."""
        program = await asyncio.to_thread(Toolchain().ensure, KUBECTL)
        # It holds a token, and kubectl caches what it discovers: nothing of it is an artefact.
        home = env.foundation.folder / f"kubectl-{env.namespace}"
        home.mkdir(mode=0o700)
        kubeconfig = home / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(env.foundation.kube.kubeconfig("admin", namespace=env.namespace))
        return cls(program, home, kubeconfig)

    async def __call__(self, *argv: str, stdin: str = "") -> list[str]:
        """The lines that it prints. Raises ServiceError with what it says if it ends with an error."""
        environment = {
            "HOME": str(self._home),
            "KUBECONFIG": str(self._kubeconfig),
            "PATH": os.environ.get("PATH", os.defpath),
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            self._program, *argv, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
        )
        try:
            async with asyncio.timeout(COMMAND_WITHIN_S):
                out, err = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise ServiceError(f"kubectl {argv[0]}: {err.decode().strip()}")
        return out.decode().splitlines()
