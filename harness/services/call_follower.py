"""A program that follows the system calls of an agent on files and sockets, and may kill it before one of them.

    python -m harness.services.call_follower PID ROOT ACCOUNT [STEP]

Its account has a line for each call, in the order in which they were made, over all threads: the call, what it is about
(`call_names`), and the how many-eth of just these it is. With a STEP, in the same words, the process gets a SIGKILL
before that call has any effect. It says when it follows every thread. SIGUSR1 makes it count anew, and only after one
does it kill; SIGTERM ends it, and the process runs on.
"""

import contextlib
import signal
import socket
import sys
from collections import Counter
from io import FileIO
from pathlib import Path
from types import FrameType

from harness.services.call_names import CALLS, PATH_AT, SENDS, WITHOUT_OBJECT, path_name, request_name
from harness.services.ptrace import Call, Traced

FOLLOWS = "follows"
COUNTS = "counts from here"
KILLED = "killed before "
_TEXT_BYTES_MAX = 300


class Names:
    """Says what a call is about, by what the process has open and what it sends."""

    def __init__(self, traced: Traced, root: str) -> None:
        self._traced = traced
        self._root = root
        # By the socket's own name in the kernel, which a later one never has.
        self._peers: dict[str, str] = {}
        self._requests: dict[str, str] = {}

    def of(self, name: str, call: Call) -> str:
        if name in WITHOUT_OBJECT:
            return name
        at = PATH_AT.get(name)
        if at is not None and (path := self._path(call.args[at])):
            return f"{name} {path_name(path, self._root)}"
        return f"{name} {self._open_file(name, call)}"

    def _path(self, address: int) -> str:
        return self._traced.text(address, _TEXT_BYTES_MAX).partition(b"\0")[0].decode(errors="replace")

    def _open_file(self, name: str, call: Call) -> str:
        descriptor = call.args[0]
        try:
            target = str(Path(f"/proc/{self._traced.pid}/fd/{descriptor}").readlink())
        except OSError:
            return "nothing"
        if not target.startswith("socket:"):
            return path_name(target, self._root)
        peer = self._peer(target, descriptor)
        if name in SENDS and peer in ("podman", "nats"):
            said = request_name(peer, self._traced.text(call.args[1], min(call.args[2], _TEXT_BYTES_MAX)))
            if peer == "nats":
                return f"{peer} {said}"
            self._requests[target] = said
        return f"{peer} {self._requests.get(target, '')}".rstrip()

    def _peer(self, target: str, descriptor: int) -> str:
        if target not in self._peers:
            found = self._ask(descriptor)
            if found == "unconnected":
                return found
            self._peers[target] = found
        return self._peers[target]

    def _ask(self, descriptor: int) -> str:
        with contextlib.suppress(OSError), socket.socket(fileno=self._traced.duplicate(descriptor)) as ours:
            peer = ours.getpeername()
            if ours.family != socket.AF_UNIX:
                return "nats"
            # The loop's own, by which threads wake it, has no name.
            return "podman" if peer else "wake-up"
        return "unconnected"


def follow(pid: int, root: str, account: FileIO, step: str | None) -> None:
    """`account` has no buffer: SIGUSR1 may come within a write, and a buffer would not let another one in."""
    traced = Traced(pid)
    names = Names(traced, root)
    counts: Counter[str] = Counter()
    counting = False

    def tell(line: str) -> None:
        account.write(f"{line}\n".encode())

    def count_anew(_number: int, _frame: FrameType | None) -> None:
        nonlocal counting
        counting = True
        counts.clear()
        tell(COUNTS)

    signal.signal(signal.SIGUSR1, count_anew)
    sys.stdout.write(f"{FOLLOWS}\n")
    sys.stdout.flush()
    while (call := traced.next_call()) is not None:
        name = CALLS.get(call.number)
        if name is None:
            continue
        what = names.of(name, call)
        counts[what] += 1
        told = f"{what} #{counts[what]}"
        if counting and told == step:
            tell(f"{KILLED}{told}")
            traced.kill()
            continue
        tell(told)


if __name__ == "__main__":
    pid_, root_, account_, *step_ = sys.argv[1:]
    with Path(account_).open("wb", buffering=0) as file:
        follow(int(pid_), root_, file, step_[0] if step_ else None)
