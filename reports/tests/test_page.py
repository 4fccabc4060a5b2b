"""The page as a whole: complete, bounded, deterministic, and deaf to hostile input."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import msgspec
import pytest

from harness.history import History, Mark, Meta, Op, Record, Step, Verdict
from reports.case import OUTCOME_WORDS
from reports.errors import ReportError
from reports.html import render_case, render_run, render_timeline, write_report
from reports.html.describe import described
from reports.html.page import href
from reports.tests.synthetic import HOSTILE, case, one_of_each, story

SIZE_BYTES_MAX = 400_000


class Page(HTMLParser):
    """Collects the tags and attributes that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def hostile(record: Record) -> Record:
    """The record with every string that is not a fixed word replaced by a hostile one."""
    changed: dict[str, object] = {}
    for field in msgspec.structs.fields(record):
        value = getattr(record, field.name)
        fixed = bool(get_args(field.type)) and field.type != (str | None)
        if isinstance(value, str) and not fixed:
            changed[field.name] = HOSTILE
        elif isinstance(value, dict):
            changed[field.name] = {HOSTILE: next(iter(value.values()), HOSTILE)} if value else value
    return msgspec.structs.replace(record, **changed)


def test_hostile_values_never_become_markup() -> None:
    """A script in any key, value, name or reason is shown as text, in the page and in the SVG file."""
    records = [hostile(record) for record in one_of_each()]
    bad = Verdict(at_s=2, check=HOSTILE, outcome="fail", reason=HOSTILE, evidence=tuple(range(1, 17)))
    history = History([*records, bad])
    result = replace(
        case(history, "fail"),
        id=HOSTILE,
        title=HOSTILE,
        headline=HOSTILE,
        rerun=HOSTILE,
        defect=HOSTILE,
        facts=((HOSTILE, HOSTILE),),
        artefacts={HOSTILE: HOSTILE, "climbs": "../../etc/passwd", "scheme": "javascript:alert(1)"},
    )
    page = render_run([result, result], title=HOSTILE, rerun=HOSTILE)
    svg = render_timeline(history)
    page.encode("utf-8")
    ET.fromstring(svg)  # noqa: S314 - our own output; that it parses is what is tested
    for text in (page, svg):
        found = Page(text)
        assert "script" not in found.tags
        assert "alert(1)" in text
        assert not [name for name, _ in found.attributes if name.startswith("on")]
        assert not set(text) & set("\x00\x1b\u202e")
    links = [value for name, value in Page(page).attributes if name == "href"]
    assert all(link.startswith(("#case-", "./", "data:,")) for link in links)
    assert "./javascript%3Aalert%281%29" in links


def test_the_page_needs_nothing_else() -> None:
    """No script, no external asset, and a policy that forbids both."""
    page = render_run([case(story())])
    found = Page(page)
    assert not found.tags & {"script", "iframe", "object", "img", "form"}
    assert not [value for name, value in found.attributes if name == "src"]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert "@import" not in page
    assert "url(" not in page


def test_the_same_cases_give_the_same_bytes() -> None:
    """Nothing of the clock or of a set's order enters the page."""
    assert render_run([case(story(failing=True))]) == render_run([case(story(failing=True))])


def test_a_large_history_makes_a_small_page() -> None:
    """50,000 operations, a thousand marks and steps, huge values: still a page that opens at once."""
    records: list[Record] = [r for r in story(devices=200, end_s=60).records if not isinstance(r, Verdict)]
    write = next(r for r in records if isinstance(r, Op))
    records += [msgspec.structs.replace(write, at_s=2 + i * 0.00115, detail="x" * 99) for i in range(50_000)]
    records += [Mark(at_s=i * 0.05, name=f"mark {i} " + "y" * 500) for i in range(1000)]
    records += [Step(at_s=i * 0.05, phase="action", text="z" * 5000) for i in range(1000)]
    records += [
        Verdict(at_s=60, check=f"c{i}", outcome="fail", reason="r" * 9000, evidence=tuple(range(1, 5000)))
        for i in range(3)
    ]
    page = render_run([case(History(records), "fail")])
    assert len(page.encode()) < SIZE_BYTES_MAX
    assert "marks not drawn" in page


def test_every_record_type_is_told_in_words() -> None:
    """No record type is forgotten, neither by the builder of these tests nor by the page."""
    told = {type(record): described(record) for record in one_of_each()}
    assert set(told) == set(get_args(Record))
    assert all(kind and what for kind, what in told.values())
    page = render_case(History(one_of_each()))
    assert "cold-restart-full-kv[200-devices]" in page
    assert "1 of 1 checks held" in page


@pytest.mark.parametrize("records", [[], one_of_each()[:1], one_of_each()[5:6]])
def test_a_history_of_next_to_nothing_renders(records: list[Record]) -> None:
    """An empty history, one of a single line, and one without its first line are shown as they are."""
    assert "<h1>" in render_case(History(records))
    ET.fromstring(render_timeline(History(records)))  # noqa: S314 - our own output


def test_a_run_without_cases_says_so() -> None:
    """An empty page would look like a success."""
    assert "No case was recorded" in render_run([])


def test_a_failing_check_shows_its_evidence() -> None:
    """The first lines of evidence stand under the check with number, time and words; the rest is counted."""
    history = story(failing=True)
    page = render_run([case(history, "fail")])
    bad = next(v for v in history.of(Verdict) if v.outcome == "fail")
    assert f'<td class="n">{bad.evidence[0]}</td><td class="n">11.520 s</td><td>kv</td>' in page
    assert "delete desired-state/d-000.app-00" in page
    assert "17 more, not shown" in page
    # What failed is read before what held.
    assert page.index(bad.check) < page.index("converged-in-time")


def test_evidence_outside_the_history_is_said_not_hidden() -> None:
    """A check that points at a line that is not there must not look proved."""
    page = render_case(History([Verdict(at_s=1, check="c", outcome="fail", reason="r", evidence=(0, 77))]))
    assert page.count("this history has no such line") == 2


def test_each_outcome_has_its_word() -> None:
    """The verdict is words, never a colour alone."""
    page = render_run([case(story(), outcome) for outcome in OUTCOME_WORDS])
    for word in ("1 PASS", "1 FAIL", "1 INCONCLUSIVE", "1 INFRA ERROR"):
        assert word in page
    assert "4 cases: 1 pass, 1 fail, 1 inconclusive, 1 infra error" in page


def test_ids_are_unique_even_if_cases_clash() -> None:
    """Anchors and the SVGs' ids are ours: two cases of one name stay apart."""
    ids = [v for n, v in Page(render_run([case(story()), case(story())])).attributes if n == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b"])
def test_no_link_leads_out_of_the_run(path: str) -> None:
    """Such a path is shown but not linked."""
    assert href(path) is None


def test_versions_and_start_come_from_the_histories() -> None:
    """The header says what ran and when, from the first case that started."""
    later = msgspec.structs.replace(one_of_each()[0], started_at="2027-01-01T00:00:00Z", versions={"tool": "9"})
    assert isinstance(later, Meta)
    page = render_run([case(History([later])), case(History(one_of_each()))])
    assert "<dd>2026-02-03T04:05:06.000000Z</dd>" in page
    assert "<dt>tool</dt><dd>9</dd>" in page
    assert "<dt>etcd</dt><dd>3.6.16</dd>" in page


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """The file is replaced in one step; an impossible path is one clear line and leaves nothing."""
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(path, [case(story())], rerun="make demo")
    assert "make demo" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(ReportError, match=r"gone/report.html: cannot be written"):
        write_report(tmp_path / "gone" / "report.html", [])
    (tmp_path / "folder").mkdir()
    with pytest.raises(ReportError, match="cannot be written"):
        write_report(tmp_path / "folder", [])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "report.html"]
