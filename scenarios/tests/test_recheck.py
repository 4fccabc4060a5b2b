"""`fleetproof recheck` on a history that a real case has left, as it is, edited, damaged, and hostile."""

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from fleet.wire import Bucket
from harness.history import History, KvEntry, Mark, Record, Request, Verdict
from scenarios.running.rechecking import OURS, Rechecked, find_within, recheck_folder
from scenarios.tests.commands import FLEETPROOF, Footprint, run

SHAPE, CASE = "cold-restart-full-kv", "8x4-sigkill"


@pytest.fixture(scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The run folder of one short case, on real servers. Nobody writes in it."""
    footprint = Footprint(tmp_path_factory.mktemp("recorded"))
    try:
        ended = await run([*FLEETPROOF, "run", SHAPE, "--case", CASE], footprint)
        assert ended.code == 0, ended.text
        yield (footprint.runs / "latest").resolve()
    finally:
        await footprint.kill()


@pytest.fixture
def records(recorded: Path) -> list[Record]:
    return list(History.read(history_of(recorded)).records)


def history_of(run_folder: Path) -> Path:
    (path,) = run_folder.glob("*/history.jsonl")
    return path


def written(folder: Path, records: Sequence[Record]) -> Path:
    """The folder of a case with this history."""
    lines = [msgspec.json.encode(record) + b"\n" for record in records]
    (folder / "history.jsonl").write_bytes(b"".join(lines))
    return folder


def rechecked(folder: Path) -> Rechecked:
    (one,) = recheck_folder(folder, find_within(OURS))
    return one


def differing(one: Rechecked) -> dict[str, str]:
    assert one.problem is None, one.problem
    return {a.stored.check: a.finding.outcome for a in one.verdicts if not a.same}


async def test_a_run_says_the_same_again(recorded: Path, footprint: Footprint) -> None:
    """Every verdict with its very words and evidence, by the folder of the run or of the case; exit code 0."""
    for folder in (recorded, history_of(recorded).parent):
        ended = await run([*FLEETPROOF, "recheck", str(folder), "--json"], footprint)
        assert (ended.code, ended.err) == (0, [])
        (answer,) = json.loads("\n".join(ended.out))
        assert (answer["shape"], answer["case"], answer["defect"]) == (SHAPE, CASE, None)
        assert (answer["same"], answer["stored"], answer["again"], answer["problem"]) == (True, "pass", "pass", None)
        assert len(answer["verdicts"]) >= 10
        assert all(row["same"] and row["reason_stored"] == row["reason_again"] for row in answer["verdicts"])
    ended = await run([*FLEETPROOF, "recheck", str(recorded)], footprint)
    assert ended.code == 0
    assert re.fullmatch(rf"{SHAPE}\[{CASE}\]: the same, PASS by \d+ checks", ended.text)


def without_the_last_put(records: Sequence[Record]) -> list[Record]:
    last = max(
        number
        for number, record in enumerate(records)
        if isinstance(record, KvEntry) and record.bucket == Bucket.DESIRED_STATE and record.operation == "put"
    )
    return [record for number, record in enumerate(records) if number != last]


def with_a_patch(records: Sequence[Record]) -> list[Record]:
    settled = next(n for n, record in enumerate(records) if isinstance(record, Mark) and record.name == "settled")
    at_s = records[settled].at_s - 0.1
    patch = Request(
        at_s=at_s,
        requested_s=at_s,
        user="operator",
        user_agent="x",
        verb="patch",
        resource="deployments",
        subresource="status",
        name="app-00",
        code=200,
    )
    return [*records[:settled], patch, *records[settled:]]


def with_another_answer(records: Sequence[Record]) -> list[Record]:
    return [msgspec.structs.replace(r, outcome="fail") if isinstance(r, Verdict) else r for r in records]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (without_the_last_put, ("wanted-keys-present", "inconclusive")),
        (with_a_patch, ("zero-status-patches", "fail")),
        (with_another_answer, ("zero-status-patches", "pass")),
    ],
)
async def test_an_edited_history_flips(
    edit: Callable[[Sequence[Record]], list[Record]],
    expected: tuple[str, str],
    records: list[Record],
    footprint: Footprint,
    tmp_path: Path,
) -> None:
    """One wanted key less, one patch more, other answers: exit code 1, and the verdict that differs is named."""
    folder = written(tmp_path, edit(records))
    flipped, outcome = expected
    assert differing(rechecked(folder))[flipped] == outcome
    ended = await run([*FLEETPROOF, "recheck", str(folder)], footprint)
    assert ended.code == 1
    assert "differs" in ended.out[0]
    assert any(line.startswith(f"  {flipped} (line ") for line in ended.out)


HOSTILE = [
    "os:system",
    "evil:check",
    "scenarios_evil:check",
    "scenarios.defects.__main__:main",
    "scenarios.cli:main",
    "harness.services.process:ManagedProcess",
    "harness.checksum:check",
    "harness.checks.judge:check_of",
    "harness.checks.judge:judge",
    "harness.checks.writes:no_writes.__globals__",
    "harness.checks.writes:_NO_STATUS",
    "harness.checks.writes:no_such",
    "harness.checks.no_such:no_writes",
    "harness.checks:",
    "harness.checks.writes",
    ":",
    "",
]


@pytest.mark.parametrize("function", HOSTILE)
def test_only_checks_are_asked(
    function: str, records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history that names anything else is refused, and nothing of it is imported."""
    for name in ("evil.py", "scenarios_evil.py"):
        (tmp_path / name).write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    number = next(n for n, record in enumerate(records) if isinstance(record, Verdict))
    edited: list[Record] = list(records)
    verdict = edited[number]
    assert isinstance(verdict, Verdict)
    edited[number] = msgspec.structs.replace(verdict, function=function)
    one = rechecked(written(tmp_path, edited))
    assert one.problem is not None
    assert f"history.jsonl: line {number + 1}: {verdict.check}: {function!r}" in one.problem


async def test_what_the_user_allows_is_asked(records: list[Record], footprint: Footprint, tmp_path: Path) -> None:
    """A module by name, or those of a folder; without it one line says how."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "my_checks.py").write_text(
        "from harness.checks.judge import check, passed\n@check\ndef all_well(_):\n    return passed('all-well', '')\n"
    )
    verdict = Verdict(at_s=9.0, check="all-well", outcome="pass", reason="", function="my_checks:all_well")
    case = tmp_path / "case"
    case.mkdir()
    written(case, [*(r for r in records if not isinstance(r, Verdict)), verdict])
    command = [*FLEETPROOF, "recheck", str(case)]
    assert (await run([*command, "--from", str(own)], footprint)).code == 0
    assert (await run([*command, "--allow", "my_checks"], footprint, changes={"PYTHONPATH": str(own)})).code == 0
    refused = await run(command, footprint)
    assert (refused.code, refused.out, len(refused.err)) == (2, [], 1)
    assert "'my_checks:all_well' is in none of harness.checks, scenarios; `--allow MODULE`" in refused.err[0]


async def test_a_case_that_was_not_judged_says_so(records: list[Record], footprint: Footprint, tmp_path: Path) -> None:
    """As an infra error leaves it: beside others it is told of; alone there was nothing to judge again."""
    alone = tmp_path / "run" / "unjudged"
    alone.mkdir(parents=True)
    written(alone, [record for record in records if not isinstance(record, Verdict)])
    ended = await run([*FLEETPROOF, "recheck", str(alone)], footprint)
    assert (ended.code, ended.out) == (3, [f"{SHAPE}[{CASE}]: was not judged"])
    beside = tmp_path / "run" / "judged"
    beside.mkdir()
    written(beside, records)
    ended = await run([*FLEETPROOF, "recheck", str(tmp_path / "run")], footprint)
    assert ended.code == 0
    assert [line.partition(": ")[2].partition(",")[0] for line in ended.out] == ["the same", "was not judged"]


def _cut(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-20])
    return "its last line is cut"


def _garble(path: Path) -> str:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b'{"type": "no-such"}\n', *lines[4:]]))
    return "history.jsonl:4: not a history record"


def _behead(path: Path) -> str:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    return "the first line of a history is its meta record"


def _empty(path: Path) -> str:
    path.write_bytes(b"")
    return "its last line is cut"


def _remove(path: Path) -> str:
    path.unlink()
    return "no history.jsonl there"


@pytest.mark.parametrize("damage", [_cut, _garble, _behead, _empty, _remove])
async def test_a_damaged_history_is_one_line(
    damage: Callable[[Path], str], records: list[Record], footprint: Footprint, tmp_path: Path
) -> None:
    """With its path and what is wrong; exit code 2."""
    written(tmp_path, records)
    words = damage(tmp_path / "history.jsonl")
    ended = await run([*FLEETPROOF, "recheck", str(tmp_path)], footprint)
    assert (ended.code, ended.out, len(ended.err)) == (2, [], 1)
    assert ended.err[0].startswith(f"fleetproof: {tmp_path}")
    assert words in ended.err[0]


async def test_a_folder_that_is_not_there_is_one_line(footprint: Footprint, tmp_path: Path) -> None:
    """Exit code 2, and the folder is named."""
    ended = await run([*FLEETPROOF, "recheck", str(tmp_path / "no-such")], footprint)
    assert (ended.code, ended.out, len(ended.err)) == (2, [], 1)
    assert str(tmp_path / "no-such") in ended.err[0]


def test_one_broken_history_does_not_hide_the_others(records: list[Record], tmp_path: Path) -> None:
    """The others of the run are judged again."""
    for name, some in (("a", records), ("b", [])):
        (tmp_path / name).mkdir()
        written(tmp_path / name, some)
    one, other = recheck_folder(tmp_path, find_within(OURS))
    assert one.same
    assert one.problem is None
    assert other.problem is not None
