"""What containers of a test run: one small image in three versions, made of a static busybox and a script.

    localhost/payload:v1, :v2, :v3        VERSION differs; the command says what it does

| command | does |
|---|---|
| none, or `sleep` | runs until SIGTERM, and then ends with 0 at once |
| `stubborn` | runs, and ignores SIGTERM |
| `exit CODE [SECONDS]` | ends with that code, after that time |
| `serve PORT` | answers HTTP there with its version, until SIGTERM |

An environment variable BEHAVIOUR says the same where there is no command.
"""

import io
import shutil
import tarfile
from pathlib import Path
from typing import Final

from harness.errors import MissingPart

VERSIONS: Final = ("v1", "v2", "v3")
_APPLETS: Final = ("sh", "sleep", "httpd", "cat", "mkdir")
_SCRIPT: Final = """#!/bin/sh
[ $# -gt 0 ] || set -- ${BEHAVIOUR:-sleep}
echo "payload $VERSION: $*"
case $1 in
  stubborn) trap '' TERM INT; while :; do sleep 3600; done ;;
  exit) sleep "${3:-0}"; exit "${2:-0}" ;;
  serve) mkdir -p /www; echo "$VERSION" > /www/index.html; httpd -f -p "$2" -h /www & ;;
  sleep) sleep 2147483647 & ;;
  *) echo "payload: no such behaviour: $1"; exit 64 ;;
esac
trap 'echo "payload: stopped"; exit 0' TERM INT
wait
"""


def image(version: str) -> str:
    return f"localhost/payload:{version}"


def root_archive() -> bytes:
    """A tar of the image's files. Raises MissingPart where there is no busybox."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise MissingPart("busybox is not on PATH: apt-get install busybox-static")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            archive.addfile(_entry(folder, tarfile.DIRTYPE))
        _add(archive, "bin/busybox", Path(busybox).read_bytes())
        for applet in _APPLETS:
            link = _entry(f"bin/{applet}", tarfile.SYMTYPE)
            link.linkname = "busybox"
            archive.addfile(link)
        _add(archive, "bin/payload", _SCRIPT.encode())
    return buffer.getvalue()


def import_arguments(archive: Path, version: str) -> list[str]:
    """Of `podman`, to make one of the images from the archive."""
    changes = ("CMD=[]", 'ENTRYPOINT=["/bin/payload"]', f"ENV=VERSION={version}", "ENV=PATH=/bin")
    return ["import", "--quiet", *(f"--change={change}" for change in changes), str(archive), image(version)]


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = 0o755
    return entry


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = _entry(name, tarfile.REGTYPE)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
