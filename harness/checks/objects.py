"""The check that objects are the administrator's: nobody else makes one go."""

from collections import defaultdict

from harness.checks.judge import Finding, check, failed, inconclusive, passed
from harness.history import History, Request, Resource

_PLURALS = {"Deployment": "deployments", "Device": "devices"}
_SHOWN_WITHIN_S = 5.0
_OK = range(200, 300)


@check
def objects_kept(history: History) -> Finding:
    """`objects-kept`: whatever object went had been asked to go, after it was made.

    Asked by a delete request at the API server, under its name. A request that came before the object was made meant
    another one of that name.
    """
    name = "objects-kept"
    requests: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in history.of(Request):
        if request.verb in {"create", "delete"} and request.code in _OK:
            requests[request.resource, request.name].append(request)
    made_s: dict[str, float] = {}
    gone = 0
    wrong: list[tuple[int, Resource]] = []
    for line, resource in history.numbered(Resource):
        about = requests[_PLURALS[resource.kind], resource.name]
        if resource.uid not in made_s:
            creates = [r.requested_s for r in about if r.verb == "create" and r.requested_s <= resource.at_s]
            made_s[resource.uid] = max(creates, default=resource.at_s - _SHOWN_WITHIN_S)
        if resource.event != "deleted":
            continue
        gone += 1
        if not any(r.verb == "delete" and made_s[resource.uid] <= r.requested_s <= resource.at_s for r in about):
            wrong.append((line, resource))
    if wrong:
        _, first = wrong[0]
        return failed(
            name,
            f"{len(wrong)} of {gone} objects that went had not been asked to, e.g. {first.kind} {first.name}",
            [line for line, _ in wrong],
        )
    if not gone:
        return inconclusive(name, "no object went")
    return passed(name, f"each of {gone} objects that went had been asked to")
