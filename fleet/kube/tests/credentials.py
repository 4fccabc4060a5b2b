"""A credential program for tests, and what it printed as it was sent."""

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleet.kube.exec_plugin import ExecLogin, Plugin
from fleet.kube.login import Grant

V1 = "client.authentication.k8s.io/v1"
SECRET = "s3cr3t-value"  # noqa: S105 - what must not show
Json = dict[str, object]


class Program:
    """A credential program: prints `output`, after it wrote down that it ran, with what it was told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "plugin"
        self._output = folder / "output"
        self._runs = folder / "runs"
        self._runs.touch()
        self.write(f'cat "{self._output}"')

    def write(self, script: str) -> None:
        self.path.write_text(f'#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >> "{self._runs}"\n{script}\n')
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def gives(self, **status: object) -> None:
        credential = {"apiVersion": V1, "kind": "ExecCredential", "status": status}
        self._output.write_text(json.dumps(credential))

    def gives_token(self, token: str, **status: object) -> None:
        self.gives(token=token, **status)

    def gives_text(self, text: str) -> None:
        self._output.write_text(text)

    @property
    def runs(self) -> list[Json]:
        return [json.loads(line) for line in self._runs.read_text().splitlines()]

    def plugin(self, **more: object) -> Plugin:
        config = {"command": str(self.path), "apiVersion": V1, "args": ["--key", SECRET]} | more
        return Plugin.parse(config, folder=self.path.parent, cluster={"server": "https://k"})

    def login(self, **more: object) -> ExecLogin:
        return ExecLogin(self.plugin(**more), ssl.create_default_context)


class Clock:
    def __init__(self) -> None:
        self.now_s = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def time(self) -> float:
        return self.now_s

    def after(self, seconds: float) -> str:
        return (datetime.fromtimestamp(self.now_s, UTC) + timedelta(seconds=seconds)).isoformat()


def sent(grant: Grant | None) -> str | None:
    assert grant is not None
    return grant.authorization
