"""More than one operator: shape 7."""

from scenarios.catalogue.shape import Shape

OPERATORS: tuple[Shape, ...] = (
    Shape(
        number="7",
        id="two-operators",
        title="Two operators at once",
        trigger="Two operators side by side, as in a rolling update, while selectors, images, labels and objects "
        "change: one of them is stopped (SIGSTOP) and continued at random times, killed, told to end, or behind a slow "
        "link; both start at once on an empty broker; nothing changes at all.",
        expected="Every delete is justified by what was wanted after the deleted revision was stored; no wanted key is "
        "absent for long; no status goes back; whoever writes a value writes the same bytes; in an unchanged world "
        "nobody writes; in the end every key and every status is right.",
        oracle="The objects' versions with the API server's stamps, every stored revision with the broker's, and the "
        "reference model.",
        risk="high",
        diagram="""\
admin        edit   edit      edit        edit      edit
operator 1  ======[SIGSTOP]=====================X            or told to end
operator 2      [start]======================================  or behind
                           |
                           wakes with an old view: delete, put, patch
broker, API ---------------x-----------------------------------------------
                           refused by its fence, or never sent""",
    ),
)
