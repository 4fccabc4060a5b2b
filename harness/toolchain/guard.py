"""Run a command that may not outlive the process that asked for it. Started by path, never imported.

`python guard.py COMMAND...` runs COMMAND in this process group and ends with its exit code. Standard input is a pipe
that the asking process holds: when it closes, for whatever reason (SIGKILL too), the whole group is killed.
"""

import os
import signal
import subprocess
import sys
import threading


def _kill_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the command; the exit code is its own, or 128 + the signal that ended it."""
    threading.Thread(target=_kill_at_end_of_input, daemon=True).start()
    code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603 - argv is the caller's, no shell
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
