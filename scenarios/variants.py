"""Which runs a scenario test has: each of its cases on the sound product, and one for each defect of its shape."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenarios.catalogue import Shape
from scenarios.defects.defect import Defect


@dataclass(frozen=True, slots=True)
class Choice:
    """What of it is to run. Nothing chosen means everything, but for long cases.

    Defects that are named without `defects_only` are as red as their checks leave them.
    """

    shapes: Sequence[str] = ()
    cases: Sequence[str] = ()
    defects: Sequence[str] = ()
    defects_only: bool = False
    sound_only: bool = False
    long: bool = False

    @property
    def narrows(self) -> bool:
        """It leaves out whatever is no case of a shape."""
        return bool(self.shapes or self.cases or self.defects or self.defects_only)

    @property
    def sound(self) -> bool:
        return not (self.defects or self.defects_only)

    @property
    def defective(self) -> bool:
        return not self.sound or not (self.sound_only or self.cases)


@dataclass(frozen=True, slots=True)
class Marked:
    """What a test says of itself with `cases`. `folder` is where it lies if its shape is none of the catalogue."""

    shape: Shape
    rows: Mapping[str, object]
    defects: Sequence[Defect]
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One run of a test: which case, on which product. `expect_red` turns the verdict around."""

    shape: Shape
    case_id: str
    case: object
    defect: Defect | None = None
    expect_red: bool = False
    folder: Path | None = None

    @property
    def id(self) -> str:
        return self.case_id if self.defect is None else f"{self.case_id}-with-{self.defect.name}"

    @property
    def rerun(self) -> str:
        own = f" --from {self.folder}" if self.folder else ""
        chosen = f" --defect {self.defect.name}" if self.defect else f" --case {self.case_id}"
        return f"fleetproof run{own} {self.shape.id}{chosen}"


def variants_of(marked: Marked, choice: Choice) -> Iterator[Variant]:
    """Pure."""
    shape, rows = marked.shape, marked.rows
    if choice.shapes and not {shape.id, shape.number} & set(choice.shapes):
        return
    if choice.sound:
        for case_id, case in rows.items():
            left_out = getattr(case, "long", False) and not choice.long
            if case_id in choice.cases or not (choice.cases or left_out):
                yield Variant(shape, case_id, case, folder=marked.folder)
    if choice.defective:
        # Named alone, a defect shows what it does; in the matrix, and beside the sound runs, it has to be caught.
        expect_red = choice.defects_only or not choice.defects
        for defect in marked.defects:
            if defect.case in rows and (not choice.defects or defect.name in choice.defects):
                yield Variant(shape, defect.case, rows[defect.case], defect, expect_red, marked.folder)
