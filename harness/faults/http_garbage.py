"""The answer is no answer: not JSON, JSON of a wrong shape, a page for people, cut in the middle, or not even HTTP."""

from typing import Literal

from harness.faults.http_fault import HttpFault
from harness.faults.http_point import HttpPoint, Scope, Seen
from harness.services.gate_ways import Answer, CutAfterBytes, NotHttp, Way

Garbage = Literal["bytes", "shape", "utf8", "deep", "html", "not-http", "cut"]

_BYTES = b"\x00\xff\xfe\x7f garbage \xc3\x28"
_SHAPE = b'{"kind":"List","metadata":{"resourceVersion":7},"items":{"name":[]}}'
# Sound but for two bytes inside a text that is read.
_UTF8 = b'{"kind":"List","metadata":{"resourceVersion":"\xff\xfe"},"message":"\xff\xfe","items":[]}'
# More nested than any parser follows.
_DEEP = b'{"deep":' + b"[" * 100_000
_HTML = b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>"
_NOT_HTTP = b"\x16\x03\x01 220 mail.example ESMTP\r\n\r\n"
_CUT_AFTER_BYTES = 60

_BODIES = {"bytes": _BYTES, "shape": _SHAPE, "utf8": _UTF8, "deep": _DEEP, "html": _HTML}


class HttpGarbage(HttpFault):
    """Requests are answered with something that nobody can use; 200 stands above what has a status."""

    def __init__(self, point: HttpPoint, scope: Scope, kind: Garbage, *, first: int | None = None) -> None:
        super().__init__(point, scope, _way(kind), f"http-garbage-{kind}", first=first)
        self._kind = kind

    def bites(self, seen: Seen) -> bool:
        match self._kind:
            case "not-http":
                return seen.ended == "not-http"
            case "cut":
                return seen.ended == "broken" and len(seen.body) <= _CUT_AFTER_BYTES
            case _:
                return seen.ended == "whole" and seen.body == _BODIES[self._kind]


def _way(kind: Garbage) -> Way:
    match kind:
        case "not-http":
            return NotHttp(_NOT_HTTP)
        case "cut":
            return CutAfterBytes(_CUT_AFTER_BYTES)
        case "html":
            return Answer("answered a page for people", 200, _HTML, "text/html")
        case _:
            return Answer(f"answered garbage ({kind})", 200, _BODIES[kind])
