"""The Allure bridge, judged by the result files that a real pytest run writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reports.allure import attach_case
from reports.tests.synthetic import case, story

INNER = """
from dataclasses import replace
from pathlib import Path
from harness.history import History, Verdict
from reports.allure import attach_case
from reports.tests.synthetic import case, one_of_each, story

def test_case():
    run = Path(__file__).parent
    result = replace(case(story(failing=True), "fail"), defect="sweep-before-convergence")
    artefacts = {**result.artefacts, "gone": "c1/gone.log", "outside": "../../../etc/passwd", "folder": "c1"}
    attach_case(replace(result, artefacts=artefacts), run)

def test_doubt():
    doubt = Verdict(at_s=2, check="fault-bit", outcome="inconclusive", reason="never proved active")
    attach_case(case(History([*one_of_each(), doubt]), "inconclusive"), Path(__file__).parent)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Allure's result of each inner test, by its function's name; `folder` is where the attachments lie."""
    folder = tmp_path_factory.mktemp("allure")
    (folder / "test_inner.py").write_text(INNER, encoding="utf-8")
    (folder / "c1").mkdir()
    (folder / "c1" / "history.jsonl").write_text('{"type":"meta"}\n', encoding="utf-8")
    (folder / "c1" / "operator.log").write_text("started\n", encoding="utf-8")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", str(folder)]
    done = subprocess.run(  # noqa: S603 - fixed argv, no shell
        [*argv, f"--alluredir={folder / 'out'}"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(p.read_text(encoding="utf-8")) for p in (folder / "out").glob("*-result.json")]
    return {r["fullName"].split("#")[-1]: {**r, "folder": str(folder / "out")} for r in found}


def steps(result: dict[str, object]) -> dict[str, dict[str, object]]:
    found = result.get("steps", [])
    assert isinstance(found, list)
    return {step["name"]: step for step in found}


def pairs(result: dict[str, object], key: str, value: str = "value") -> list[tuple[str, str]]:
    found = result[key]
    assert isinstance(found, list)
    return [(entry["name"], entry[value]) for entry in found]


def test_labels_place_the_case(results: dict[str, dict[str, object]]) -> None:
    """Suite and feature are the scenario, story the case, tag the defect."""
    labels = pairs(results["test_case"], "labels")
    assert {
        ("suite", "cold-restart-full-kv"),
        ("feature", "cold-restart-full-kv"),
        ("story", "200-devices"),
        ("tag", "sweep-before-convergence"),
        ("severity", "critical"),
    } <= set(labels)
    assert [value for name, value in labels if name == "severity"] == ["critical"]
    assert results["test_case"]["name"] == "Cold restart with full buckets"


def test_facts_are_parameters_that_do_not_make_a_new_test(results: dict[str, dict[str, object]]) -> None:
    """A measured value is shown but keeps out of the test's identity."""
    found = results["test_case"]["parameters"]
    assert isinstance(found, list)
    by_name = {p["name"]: p for p in found}
    assert by_name["time to converge"]["excluded"] is True
    assert not by_name["defect"].get("excluded")


def test_a_failed_check_is_a_failed_step(results: dict[str, dict[str, object]]) -> None:
    """The step of the check, and ASSERT above it, are failed with the evidence; what held is passed."""
    phases = steps(results["test_case"])
    assert {name: step["status"] for name, step in phases.items()} == {
        "SETUP": "passed",
        "ACTION": "passed",
        "ASSERT": "failed",
    }
    checks = {name.split(":")[0]: step for name, step in steps(phases["ASSERT"]).items()}
    failed = checks["no-write-in-unchanged-world"]
    assert failed["status"] == "failed"
    details = failed["statusDetails"]
    assert isinstance(details, dict)
    assert "line 3748: kv: delete desired-state/d-000.app-00" in details["message"]
    assert checks["converged-in-time"]["status"] == "passed"
    assert "10.00 s  SIGKILL the operator" in steps(phases["ACTION"])


def test_doubt_is_neither_passed_nor_failed(results: dict[str, dict[str, object]]) -> None:
    """An inconclusive check is broken in Allure's words, under an ASSERT of its own if the scenario had none."""
    found = steps(results["test_doubt"])["ASSERT"]
    assert found["status"] == "broken"
    assert {name.split(":")[0]: s["status"] for name, s in steps(found).items()} == {
        "safety": "passed",
        "fault-bit": "broken",
    }


def test_files_are_attached(results: dict[str, dict[str, object]]) -> None:
    """Timeline, history and logs are there; what is missing or outside the run is said, never followed."""
    result = results["test_case"]
    attached = {name: Path(str(result["folder"])) / source for name, source in pairs(result, "attachments", "source")}
    text = {name: path.read_text(encoding="utf-8") for name, path in attached.items()}
    assert text["timeline"].startswith("<svg")
    assert attached["timeline"].suffix == ".svg"
    assert attached["history"].suffix == ".jsonl"
    assert text["operator log"] == "started\n"
    assert "cannot be read" in text["gone"]
    assert "outside the run folder" in text["outside"]
    assert "is not a file" in text["folder"]


def test_without_allure_it_does_nothing(tmp_path: Path) -> None:
    """A run without --alluredir needs no other code path, and a failed case does not raise here."""
    attach_case(case(story(failing=True), "fail"), tmp_path)
