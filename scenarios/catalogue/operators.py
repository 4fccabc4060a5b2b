"""More than one operator: shape 7."""

from scenarios.catalogue.shape import Shape

OPERATORS: tuple[Shape, ...] = (
    Shape(
        number="7",
        id="two-operators",
        title="Two operators at once",
        trigger="Two operators side by side, as in a rolling update, while selectors, images, labels and objects "
        "change; one of them is stopped (SIGSTOP) and continued at random times.",
        expected="Every delete is justified by what was wanted after the deleted revision was stored; no wanted key is "
        "absent for long; no status goes back; in the end every key and every status is right.",
        oracle="The objects' versions with the API server's stamps, every stored revision with the broker's, and the "
        "reference model.",
        risk="high",
        diagram="",
    ),
)
