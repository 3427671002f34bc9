"""Writes what `python -m benchmarks` measured into both READMEs and the chart: ``python -m benchmarks.readme [FILE]``.

The results are copied to docs/benchmarks.json, so that a test can hold the tables to them.
"""

import argparse
import re
from pathlib import Path

from benchmarks.chart import draw
from benchmarks.results import Results
from benchmarks.table import markdown
from benchmarks.words import Language
from registry.settings import LOCAL, ROOT

MEASURED = LOCAL / "benchmarks" / "results.json"
KEPT = ROOT / "docs" / "benchmarks.json"
CHART = ROOT / "docs" / "pictures" / "serving.png"
PAGES: dict[Language, Path] = {"en": ROOT / "README.md", "pt-BR": ROOT / "README.pt-BR.md"}
BEGIN, END = "<!-- written by python -m benchmarks.readme -->", "<!-- up to here -->"
_BETWEEN = re.compile(f"(?<={BEGIN}\n).*?(?={END})", re.DOTALL)


def written(page: str, table: str) -> str:
    """A page with a table between its two markers, in the place of what was there; raises ValueError without them."""
    text, count = _BETWEEN.subn(lambda _: f"\n{table}\n\n", page)
    if count != 1:
        raise ValueError(f"a page needs {BEGIN!r} and {END!r} once each, and has them {count} times")
    return text


def write(results: Results) -> None:
    """The tables, the chart, and the results that they are made of."""
    pages = {page: written(page.read_text(), markdown(results, language)) for language, page in PAGES.items()}
    for page, text in pages.items():
        page.write_text(text)
    draw(results, CHART)
    results.save(KEPT)


def main() -> None:
    """Say what is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=MEASURED, help="results (default: those of the last run)")
    write(Results.load(parser.parse_args().file))
    for file in (*PAGES.values(), CHART, KEPT):
        print(f"written: {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
