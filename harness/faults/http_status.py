"""The API server refuses: 401, 403, 410, 429 with Retry-After, 500, 503, each worded as Kubernetes words it."""

from harness.faults.http_fault import HttpFault
from harness.faults.http_point import HttpPoint, Scope, Seen
from harness.services.gate_ways import Answer, status_body

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
_TOO_MANY = 429
_RETRY_AFTER_S = 1


class HttpStatus(HttpFault):
    """Requests are answered with an error."""

    def __init__(self, point: HttpPoint, scope: Scope, code: int, *, first: int | None = None) -> None:
        headers = {"Retry-After": str(_RETRY_AFTER_S)} if code == _TOO_MANY else {}
        body = status_body(code, _REASONS[code], "injected by the harness")
        super().__init__(
            point, scope, Answer(f"answered {code}", code, body, headers=headers), f"http-{code}", first=first
        )
        self._code = code

    def bites(self, seen: Seen) -> bool:
        return seen.ended == "whole" and seen.status == self._code
