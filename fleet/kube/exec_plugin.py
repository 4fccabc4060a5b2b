"""Credentials from a program (`exec` in a kubeconfig, client.authentication.k8s.io): cloud log-ins, mostly.

The program runs beside the event loop, with a deadline, and is killed with all its children if it misses it. It is run
again shortly before what it gave expires, and after a 401. Neither its output nor its arguments appear in any message:
both may hold secrets.
"""

import asyncio
import hashlib
import os
import shutil
import signal
import ssl
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from fleet.errors import PeerAway, SettingsError
from fleet.kube.login import Grant, bearer
from fleet.kube.unreadable import UNREADABLE

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_DEADLINE_S = 30.0
_OUTPUT_BYTES_MAX = 1024 * 1024
# Renewed this long before the end, or after nine tenths of a short life.
_MARGIN_S = 60.0
_MARGIN_SHARE = 0.1
# A program that hands out what has expired, or fails, is not run more often than this.
_PAUSE_S = 5.0


class _Variable(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class _Config(msgspec.Struct, rename="camel", frozen=True):
    command: str
    api_version: str
    args: list[str] | None = None
    env: list[_Variable] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"


class _CredentialStatus(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _Credential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _CredentialStatus


@dataclass(frozen=True, slots=True)
class Plugin:
    """How the program is run. `name` is what messages call it."""

    name: str
    argv: tuple[str, ...] = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    api_version: str

    @classmethod
    def parse(cls, config: object, *, folder: Path, cluster: dict[str, object]) -> "Plugin":
        """From a kubeconfig's `exec`; `folder` is that file's, `cluster` goes to a program that asks for it.

        Raises SettingsError.
        """
        try:
            known = msgspec.convert(config, _Config)
        except msgspec.ValidationError as e:
            raise SettingsError(f"exec plugin: {e}") from e
        name = Path(known.command).name
        if known.api_version not in _VERSIONS:
            raise SettingsError(f"exec plugin {name}: apiVersion must be one of {', '.join(_VERSIONS)}")
        if known.interactive_mode == "Always":
            raise SettingsError(f"exec plugin {name}: it wants a terminal, and the operator has none")
        # As kubectl finds it: a path with a slash is relative to the kubeconfig, anything else is on PATH.
        command = str(folder / known.command) if "/" in known.command else known.command
        environment = dict(os.environ) | {variable.name: variable.value for variable in known.env or ()}
        found = shutil.which(command, path=environment.get("PATH"))
        if found is None:
            hint = " ".join(known.install_hint.split())[:300]
            raise SettingsError(f"exec plugin {name}: not found{': ' + hint if hint else ''}")
        spec: dict[str, object] = {"interactive": False}
        if known.provide_cluster_info:
            spec["cluster"] = cluster
        info = {"apiVersion": known.api_version, "kind": "ExecCredential", "spec": spec}
        environment["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(info).decode()
        return cls(name, (found, *(known.args or ())), environment, known.api_version)


class ExecLogin:
    """A login by a program's word. `tls` makes a fresh context, for a client certificate to be loaded into."""

    def __init__(self, plugin: Plugin, tls: Callable[[], ssl.SSLContext]) -> None:
        self._plugin = plugin
        self._make_tls = tls
        self._tls = tls()
        self._lock = asyncio.Lock()
        self._grant: Grant | None = None
        self._due_at = 0.0
        self._ends_at = float("inf")

    async def grant(self) -> Grant:
        if self._grant is not None and time.time() < self._due_at:
            return self._grant
        async with self._lock:
            if self._grant is None or time.time() >= self._due_at:
                try:
                    return await self._run()
                except PeerAway:
                    if self._grant is None or time.time() >= self._ends_at:
                        raise
                    # What there is still holds for a while.
                    self._due_at = time.time() + _PAUSE_S
            return self._grant

    async def renewed(self, refused: Grant) -> Grant | None:
        async with self._lock:
            # Of many requests that were refused alike, the first one has it run.
            grant = self._grant
            if grant is None or grant == refused:
                grant = await self._run()
        return None if grant == refused else grant

    async def _run(self) -> Grant:
        where = f"exec plugin {self._plugin.name}"
        output = await _output(self._plugin, where)
        try:
            credential = msgspec.json.decode(output, type=_Credential)
        except UNREADABLE:
            # Without the cause: its text may quote the output.
            raise PeerAway(f"{where}: its output is no ExecCredential") from None
        if credential.kind != "ExecCredential" or credential.api_version != self._plugin.api_version:
            raise PeerAway(f"{where}: its output is no ExecCredential of {self._plugin.api_version}")
        grant = self._granted(credential.status, where)
        now = time.time()
        self._ends_at = _seconds(credential.status.expiration_timestamp)
        left_s = self._ends_at - now
        self._due_at = max(self._ends_at - min(_MARGIN_S, _MARGIN_SHARE * left_s), now + _PAUSE_S)
        self._grant = grant
        return grant

    def _granted(self, status: _CredentialStatus, where: str) -> Grant:
        certificate, key = status.client_certificate_data, status.client_key_data
        if status.token is None and (not certificate or not key):
            raise PeerAway(f"{where}: it gave neither a token nor a certificate with its key")
        authorization = None if status.token is None else bearer(status.token, where)
        if not certificate or not key:
            return Grant(authorization, self._tls)
        fingerprint = hashlib.sha256(f"{certificate}\n{key}".encode()).hexdigest()
        if self._grant is not None and self._grant.fingerprint == fingerprint:
            return Grant(authorization, self._grant.tls, fingerprint)
        tls = self._make_tls()
        try:
            load_certificate(tls, f"{certificate}\n{key}\n".encode())
        except (ssl.SSLError, OSError) as e:
            raise PeerAway(f"{where}: its certificate and key are not usable") from e
        return Grant(authorization, tls, fingerprint)


def load_certificate(tls: ssl.SSLContext, pem: bytes) -> None:
    """Load a chain and its key, which are on no disk: OpenSSL takes a file's name, and this one is memory."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(pem)
        tls.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


async def _output(plugin: Plugin, where: str) -> bytes:
    """Run it to its end. It gets no terminal, and a process group of its own."""
    # A pipe of ours: asyncio waits for a process only as long as it takes to drain the pipes that it made.
    output_fd, input_fd = os.pipe()
    with os.fdopen(output_fd, "rb", 0) as pipe:
        try:
            process = await asyncio.create_subprocess_exec(
                *plugin.argv,
                env=plugin.environment,
                stdin=DEVNULL,
                stdout=input_fd,
                stderr=DEVNULL,
                start_new_session=True,
            )
        except OSError as e:
            raise PeerAway(f"{where}: cannot be run: {e.strerror}") from e
        finally:
            os.close(input_fd)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                output = await _read(pipe, where)
                code = await process.wait()
        except TimeoutError as e:
            raise PeerAway(f"{where}: did not end within {_DEADLINE_S:g} s") from e
        finally:
            # Also what it left behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code != 0:
        raise PeerAway(f"{where}: exit code {code}; run it by hand to see why")
    return output


async def _read(pipe: IO[bytes], where: str) -> bytes:
    output = bytearray()
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), pipe
    )
    try:
        while chunk := await stream.read(1 << 16):
            output += chunk
            if len(output) > _OUTPUT_BYTES_MAX:
                raise PeerAway(f"{where}: its output is of over {_OUTPUT_BYTES_MAX} bytes")
    finally:
        transport.close()
    return bytes(output)


def _seconds(expiration: datetime | None) -> float:
    if expiration is None:
        return float("inf")
    return (expiration if expiration.tzinfo else expiration.replace(tzinfo=UTC)).timestamp()
