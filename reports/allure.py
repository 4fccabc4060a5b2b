"""The bridge to Allure: a judged case as steps, labels, parameters and attachments of the running pytest test.

Call `attach_case` in the test's own phase (its body, or a hook around the call): steps made in a fixture's teardown
are shown by Allure under that fixture. Without --alluredir every call here does nothing.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from itertools import groupby
from pathlib import Path
from typing import Protocol, cast

import allure

from harness.history import Step, Verdict, VerdictOutcome, worst
from reports.case import OUTCOME_WORDS, CaseResult
from reports.html import render_timeline
from reports.html.describe import line
from reports.html.text import clip, seconds

ATTACHMENT_BYTES_MAX = 64 << 20
EVIDENCE_MAX = 20
STEPS_MAX = 200
TEXT_MAX = 300

_TYPES: dict[str, allure.attachment_type] = {
    ".csv": allure.attachment_type.CSV,
    ".html": allure.attachment_type.HTML,
    ".json": allure.attachment_type.JSON,
    ".svg": allure.attachment_type.SVG,
    ".yaml": allure.attachment_type.YAML,
}


class _Dynamic(Protocol):
    """What we use of `allure.dynamic`, which is published without types."""

    def title(self, test_title: str) -> None: ...
    def description(self, test_description: str) -> None: ...
    def label(self, label_type: str, *labels: str) -> None: ...
    def parameter(self, name: str, value: str, excluded: bool | None = None) -> None: ...


class _Attach(Protocol):
    """Likewise of `allure.attach`."""

    def __call__(self, body: str, name: str, attachment_type: allure.attachment_type) -> None: ...
    def file(
        self, source: str, name: str, attachment_type: allure.attachment_type | str, extension: str | None = None
    ) -> None: ...


_dynamic = cast("_Dynamic", allure.dynamic)
_attach = cast("_Attach", allure.attach)


class CheckFailedError(AssertionError):
    """Marks an Allure step as failed; it never leaves this module."""


class NotJudgedError(Exception):
    """Marks an Allure step as broken: the check could not tell. It never leaves this module."""


def attach_case(
    case: CaseResult, run_folder: Path, severity: allure.severity_level = allure.severity_level.CRITICAL
) -> None:
    """Adds the case to the running test's Allure result. `run_folder` is what the artefacts' paths are relative to.

    Does not raise for a failed case: the test itself fails by its own assertion.
    """
    _label(case, severity)
    _steps(case)
    _attachments(case, run_folder)


def _label(case: CaseResult, severity: allure.severity_level) -> None:
    _dynamic.title(clip(case.title, TEXT_MAX))
    _dynamic.description(clip(f"{OUTCOME_WORDS[case.outcome]}: {case.headline}", TEXT_MAX))
    _dynamic.label("suite", case.scenario)
    _dynamic.label("feature", case.scenario)
    _dynamic.label("story", case.case)
    _dynamic.label("severity", severity.value)
    if case.defect:
        _dynamic.label("tag", case.defect)
    named = {"scenario": case.scenario, "case": case.case, "defect": case.defect or "none"}
    for name, value in named.items():
        _dynamic.parameter(name, clip(value, TEXT_MAX))
    for name, value in case.facts:
        # Measured, so not part of what makes two results the same test.
        _dynamic.parameter(clip(name, TEXT_MAX), clip(value, TEXT_MAX), excluded=True)


def _steps(case: CaseResult) -> None:
    """The scenario's own steps by phase; the verdicts stand under the last phase, ASSERT."""
    steps = case.history.of(Step)
    phases = [(phase, list(group)) for phase, group in groupby(steps[:STEPS_MAX], key=lambda s: s.phase)]
    verdicts = case.history.of(Verdict)
    if verdicts and (not phases or phases[-1][0] != "assert"):
        phases.append(("assert", []))
    for index, (phase, group) in enumerate(phases):
        judged = verdicts if index == len(phases) - 1 else []
        # The exception has coloured the step by the time it arrives here.
        with suppress(CheckFailedError, NotJudgedError), _step(phase.upper()):
            for step in group:
                with _step(f"{seconds(step.at_s)}  {clip(step.text, TEXT_MAX)}"):
                    pass
            _verdicts(case, judged)


def _verdicts(case: CaseResult, verdicts: Iterable[Verdict]) -> None:
    """One step a verdict, then raises the worst of them so that the phase above shows it too."""
    found = list(verdicts)
    for verdict in found:
        with suppress(CheckFailedError, NotJudgedError), _step(f"{verdict.check}: {clip(verdict.reason, TEXT_MAX)}"):
            rows = [line(case.history, number) for number in verdict.evidence[:EVIDENCE_MAX]]
            told = "\n".join(f"line {row.number}: {row.kind}: {row.what}" for row in rows)
            _raise(verdict.outcome, f"{clip(verdict.reason, TEXT_MAX)}\n{told}".rstrip())
    if found:
        outcome = worst(verdict.outcome for verdict in found)
        count = sum(v.outcome == outcome for v in found)
        _raise(outcome, f"{count} of {len(found)} checks: {OUTCOME_WORDS[outcome]}")


def _raise(outcome: VerdictOutcome, text: str) -> None:
    if outcome == "fail":
        raise CheckFailedError(text)
    if outcome != "pass":
        raise NotJudgedError(f"{OUTCOME_WORDS[outcome]}: {text}")


def _step(title: str) -> AbstractContextManager[object]:
    return cast("AbstractContextManager[object]", allure.step(title))


def _attachments(case: CaseResult, run_folder: Path) -> None:
    if case.history.records:
        _attach(render_timeline(case.history), "timeline", allure.attachment_type.SVG)
    for name, path in case.artefacts.items():
        shown = clip(name, TEXT_MAX)
        file = run_folder / path
        if why := _unfit(file, run_folder):
            _attach(f"{clip(path, TEXT_MAX)}: {why}", shown, allure.attachment_type.TEXT)
            continue
        known = _TYPES.get(file.suffix)
        if known is not None:
            _attach.file(str(file), shown, known)
        else:
            # Logs and JSON lines: text, under their own ending.
            _attach.file(str(file), shown, "text/plain", file.suffix.lstrip(".") or "txt")


def _unfit(file: Path, run_folder: Path) -> str:
    """Why a file is not attached, or nothing."""
    try:
        if not file.resolve().is_relative_to(run_folder.resolve()):
            return "lies outside the run folder, not attached"
        size_bytes = file.stat().st_size
    except (OSError, ValueError) as e:
        return f"cannot be read, not attached: {e}"
    if not file.is_file():
        return "is not a file, not attached"
    return "" if size_bytes <= ATTACHMENT_BYTES_MAX else f"{size_bytes:,} bytes, too large to attach"
