"""The table of a run and its way into the READMEs, from results that are made by hand."""

from pathlib import Path

import pytest

from benchmarks import readme
from benchmarks.results import Measured, Results
from benchmarks.table import markdown, number, rows, text

ABOUT = {
    "date": "2026-01-02",
    "commit": "1234567",
    "before": "7654321",
    "data": "given",
    "cores": 2,
    "processor": "Some CPU",
    "memory_gib": 8,
    "python": "3.11.9",
}


def run() -> Results:
    return Results(
        about=ABOUT,
        series={
            "real": {
                "shipped": [150.0, 1600.0, 170.0],
                "triton": [100.0, 1000.0, 100.0],
                "bare": [200.0, 1000.0, 200.0],
            },
            "start": {"now": [4.25, 4.0, 4.5], "before": [8.5, 5.0, 9.0]},
        },
        missing={"litserve": "no way | out\nat all", "page": "Ray does not start"},
        busy={"real": 0.031, "start": 0.25},
        seconds={"real": 600.0, "start": 66.0},
    )


def row(language: str, what: str, beside: str) -> tuple[str, ...]:
    [found] = [one for one in rows(run(), language) if what in one[0] and beside in one[2] and "two" not in one[2]]
    return found


def test_a_row_has_both_medians_the_ratio_with_its_interval_what_is_asked_and_whether_it_is_kept():
    kept = [one for one in rows(run(), "en") if one[0] == "X-rays answered a second" and one[1] == "170, two replicas"]
    # Triton: 1.5, 1.6, 1.7; the bare app: 0.75, 1.6, 0.85
    assert kept[0][2:] == ("100, Triton", "1.60 (1.50 to 1.70, 3 rounds)", "≥ 1.5", "yes")
    assert kept[1][2:] == ("200, bare FastAPI app", "0.85 (0.75 to 1.60, 3 rounds)", "≥ 1.3", "**no**")


def test_what_is_asked_of_ours_alone_is_told_apart():
    # 4.25 / 8.5 = 0.5, 4 / 5 = 0.8, 4.5 / 9 = 0.5
    [found] = [one for one in rows(run(), "en") if "imports" in one[0]]
    assert found[1:] == ("4.25", "8.50, commit `7654321`", "0.50 (0.50 to 0.80, 3 rounds)", "ours ≤ 5", "yes")


def test_a_peer_or_a_part_that_is_missing_is_said_in_its_row_on_one_line_of_the_table():
    table = rows(run(), "en")
    [litserve] = [one for one in table if one[0] == "X-rays answered a second" and "LitServe" in one[2]]
    assert litserve[1:] == ("170, two replicas", "–, LitServe", "not measured: no way / out at all", "–", "–")
    [page] = [one for one in table if "make run" in one[0]]
    assert page[1:] == ("–", "–, commit `7654321`", "not measured: Ray does not start", "ours ≤ 75", "not measured")


def test_portuguese_has_its_words_and_its_numbers():
    [found] = [
        one
        for one in rows(run(), "pt-BR")
        if one[0] == "radiografias respondidas por segundo" and "Triton" in one[2] and one[1] != "–, uma réplica"
    ]
    assert found[1:] == ("170, duas réplicas", "100, Triton", "1,60 (1,50 a 1,70, 3 rodadas)", "≥ 1,5", "sim")


def test_both_languages_have_the_same_rows_with_a_cell_for_each_column():
    tables = [markdown(run(), language).splitlines() for language in ("en", "pt-BR")]
    assert len(tables[0]) == len(tables[1])
    counts = {line.count("|") for table in tables for line in table if line.startswith("|")}
    assert counts == {7}


def test_it_is_said_when_and_on_what_it_was_measured_and_how_busy_the_machine_was():
    said = markdown(run(), "en").splitlines()[0]
    for part in ("11 minutes", "2026-01-02", "`1234567`", "2 cores (Some CPU)", "8 GiB", "at most 25 %"):
        assert part in said


@pytest.mark.parametrize(("share", "said"), [(0.1, False), (0.11, True)])
def test_a_machine_that_was_not_quiet_is_said(share: float, said: bool):
    results = run()
    results.busy = {"real": 0.0, "start": share}
    assert ("not quiet" in markdown(results, "en"), "não estava livre" in markdown(results, "pt-BR")) == (said, said)


def test_a_terminal_shows_what_is_missed():
    lines = [line for line in text(run()).splitlines() if line.endswith("NO")]
    assert len(lines) == 1
    assert "bare FastAPI app" in lines[0]


@pytest.mark.parametrize(
    ("value", "english", "portuguese"),
    [
        (0.0, "0.00", "0,00"),
        (1.2e-6, "1.2e-06", "1,2e-06"),
        (0.85, "0.85", "0,85"),
        (19.04, "19.0", "19,0"),
        (20.4, "20", "20"),
        (1234.5, "1,234", "1.234"),
    ],
)
def test_numbers(value: float, english: str, portuguese: str):
    assert (number(value, "en"), number(value, "pt-BR")) == (english, portuguese)


def test_writing_a_table_twice_is_writing_it_once_and_changes_nothing_else():
    page = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n"
    once = readme.written(page, "| a \\1 |")
    assert once == f"before\n{readme.BEGIN}\n\n| a \\1 |\n\n{readme.END}\nafter\n"
    assert readme.written(once, "| a \\1 |") == once


@pytest.mark.parametrize("page", ["no marker", f"{readme.BEGIN}\n", f"{readme.BEGIN}\n{readme.END}\n" * 2])
def test_a_page_without_its_two_markers_is_an_error(page: str):
    with pytest.raises(ValueError, match="once each"):
        readme.written(page, "table")


def test_pages_chart_and_results_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pages = {language: tmp_path / f"{language}.md" for language in readme.PAGES}
    for page in pages.values():
        page.write_text(f"{readme.BEGIN}\n{readme.END}\n")
    for name, value in {"PAGES": pages, "CHART": tmp_path / "chart.png", "KEPT": tmp_path / "kept.json"}.items():
        monkeypatch.setattr(readme, name, value)
    readme.write(run())
    assert {language: markdown(run(), language) in page.read_text() for language, page in pages.items()} == {
        "en": True,
        "pt-BR": True,
    }
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert Results.load(tmp_path / "kept.json") == run()


@pytest.mark.parametrize("language", readme.PAGES)
def test_the_readme_has_what_the_kept_results_give(language):
    page = readme.PAGES[language].read_text()
    assert readme.written(page, markdown(Results.load(readme.KEPT), language)) == page


def test_a_part_that_is_measured_after_all_is_missing_no_more():
    results = run()
    results.add(
        "page", Measured(series={"page": {"now": [70.0]}}, missing={"before": "no git"}), busy=0.5, seconds=70.0
    )
    assert results.series["page"] == {"now": [70.0]}
    assert results.missing == {"litserve": "no way | out\nat all", "before": "no git"}
    assert (results.busy["page"], results.seconds["page"]) == (0.5, 70.0)
