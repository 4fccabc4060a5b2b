"""What happens to the broker and its buckets: shapes 9, 10 and 15."""

from scenarios.catalogue.shape import Shape

BROKER: tuple[Shape, ...] = (
    Shape(
        number="15",
        id="missing-buckets",
        title="Buckets missing or made otherwise",
        trigger="A fresh broker with the operator first or the agents first; some buckets gone; a bucket that somebody "
        "made with another configuration.",
        expected="The operator makes what is missing and mends what differs, without touching what it holds; both "
        "orders of start end in the same world.",
        oracle="Stream configurations read from the broker; desired state and status against the reference model.",
        risk="low",
        diagram="",
    ),
)
