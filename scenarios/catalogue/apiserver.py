"""What happens to the API server: shapes 18 and 19."""

from scenarios.catalogue.shape import Shape

APISERVER: tuple[Shape, ...] = (
    Shape(
        number="18",
        id="status-path-panic",
        title="The path that writes status panics",
        trigger="Something that nobody expects is raised where a status patch is sent: at the first patch after a "
        "start, at the k-th, in two lives in a row, with other work under way.",
        expected="The process ends with an exit code that is not 0, and is not ready before it does; the next operator "
        "converges, and every status is true.",
        oracle="Exit codes from the kernel; /readyz asked every few milliseconds; status and keys against the "
        "reference model.",
        risk="medium",
        diagram="""\
devices     |--failed--|                      |
operator-1  |----tick: patch 1, 2, 3 raises---|503|exit 70
/readyz     |200                              |503|gone
operator-2                                          |--rebuild--|tick: 1..4
status      |true      |old                                     |old   |true
injected                            *""",
    ),
    Shape(
        number="19",
        id="apiserver-away-mid-rebuild",
        title="The API server in trouble, in the middle of a rebuild",
        trigger="The link is cut or flaps, or requests get 401, 403, 410, 429, 5xx, garbage, pages for people, drops "
        "or nothing: all of them, lists, watches or status patches only; during a rebuild or while Converged.",
        expected="The operator stays, tries again with pauses that grow, and is Converged within seconds of the heal; "
        "what changed meanwhile is written then; nothing is deleted that should not be.",
        oracle="Each request counted at the HTTP fault point; /recovery; stored revisions and the objects' versions; "
        "the reference model.",
        risk="high",
        diagram="""\
API server  |list 1|    503 503  503     503         |list list watch
operator    |--Recovering: retry, pause, retry, longer|-------|Converged
buckets     |--replayed, current----------------------------------------
requests/s  |2     |5   3  2  1  1                   |4
fault              |struck while list 2 is held      |healed
                                                     |<10 s-->|""",
    ),
)
