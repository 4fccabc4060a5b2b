"""The catalogue as a page of Markdown: docs/scenarios.md is what this makes. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from scenarios.catalogue import Shape
from scenarios.defects import Defect
from scenarios.pinned import Pinned

_HEAD = """\
# The scenarios

Made by `fleetproof list --markdown`; the catalogue, the tests and the defects are the source, and a test compares.

{shapes} shapes, {cases} cases, {defects} defects. `fleetproof run ID` runs a shape by its id or number,
`fleetproof run ID --case CASE` one case of it, `fleetproof defects NAME` a defect.
How to add one: [how-to-write-a-shape.md](how-to-write-a-shape.md).
"""


def page(shapes: Sequence[Shape], tests: Sequence[Pinned], defects: Sequence[Defect]) -> str:
    """The whole page: a table of contents, then a section for each shape; what is of none of them is left out."""
    rows = [
        (s, [test for test in tests if test.shape.id == s.id], [defect for defect in defects if defect.shape == s.id])
        for s in shapes
    ]
    cases = sum(len(test.cases) for _, pinning, _ in rows for test in pinning)
    head = _HEAD.format(shapes=len(shapes), cases=cases, defects=sum(len(caught) for _, _, caught in rows))
    return "\n".join([head, *_contents(rows), "", *(line for row in rows for line in _section(*row))])


def _contents(rows: Iterable[tuple[Shape, Sequence[Pinned], Sequence[Defect]]]) -> Iterator[str]:
    yield "| # | shape | what happens | risk | cases | defects |"
    yield "|---|---|---|---|---|---|"
    for s, tests, defects in rows:
        cases = sum(len(test.cases) for test in tests)
        yield f"| {s.number} | [{s.id}](#{_anchor(s)}) | {_cell(s.title)} | {s.risk} | {cases} | {len(defects)} |"


def _section(s: Shape, tests: Sequence[Pinned], defects: Sequence[Defect]) -> Iterator[str]:
    yield f"## {s.number} {s.id}"
    yield ""
    yield f"**{s.title}.** Risk: {s.risk}."
    yield ""
    if s.diagram.strip("\n"):
        yield from ("```", s.diagram.strip("\n"), "```", "")
    yield f"- **Trigger.** {s.trigger}"
    yield f"- **Expected.** {s.expected}"
    yield f"- **Oracle.** {s.oracle}"
    yield ""
    yield "| test | shows | cases |"
    yield "|---|---|---|"
    for test in tests:
        ids = ", ".join(f"`{case}`" for case in test.cases)
        yield f"| [{test.function}](../{test.file}) | {_cell(test.behaviour)} | {ids} |"
    yield ""
    yield "| defect | how it happens | must be caught by | in case |"
    yield "|---|---|---|---|"
    for defect in defects:
        yield f"| `{defect.name}` | {_cell(defect.story)} | `{defect.check}` | `{defect.case}` |"
    yield ""


def _anchor(s: Shape) -> str:
    """As a reader of Markdown makes it of the section's heading."""
    return f"{s.number} {s.id}".lower().replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
