"""The table of a run, in a terminal and in the READMEs."""

from benchmarks import words
from benchmarks.claims import Figure, figures
from benchmarks.results import Results
from benchmarks.words import Language

_NOTHING = "–"
_QUIET = 0.1  # of the processors: what other programs may use without being said to have disturbed
_SIGN = {">=": "≥", "<=": "≤"}


def rows(results: Results, language: Language) -> list[tuple[str, ...]]:
    """A row for each claim, with as many cells as `words.HEAD` has."""
    return [_row(figure, results, language) for figure in figures(results)]


def text(results: Results) -> str:
    """The table for a terminal."""
    table = [words.HEAD["en"], *rows(results, "en")]
    plain = [[cell.replace("`", "").replace("**no**", "NO") for cell in row] for row in table]
    widths = [max(map(len, column)) for column in list(zip(*plain, strict=True))[:-1]]
    lines = ["  ".join([*map(str.ljust, row, widths), row[-1]]) for row in plain]
    return "\n".join([*lines, "", about(results, "en").replace("*", "")])


def markdown(results: Results, language: Language) -> str:
    """What the README says of a run: a paragraph about it, and the table."""
    table = [words.HEAD[language], ("---",) * len(words.HEAD[language]), *rows(results, language)]
    lines = [f"| {' | '.join(row)} |" if row[0] != "---" else f"|{'|'.join(row)}|" for row in table]
    return "\n".join([about(results, language), "", *lines])


def about(results: Results, language: Language) -> str:
    """When, where and how it was measured."""
    said, busy = results.about, max(results.busy.values(), default=0.0)
    sentences = words.ABOUT[language].format(
        **{name: said[name] for name in ("date", "commit", "cores", "processor", "memory_gib", "python")},
        command=words.COMMAND[language] if said["data"] == "given" else "make bench",
        minutes=f"{sum(results.seconds.values()) / 60:.0f}",
        busy=f"{100 * busy:.0f} %",
    )
    return sentences + (words.BUSY[language] if busy > _QUIET else "")


def number(value: float, language: Language) -> str:
    """A figure with two or three digits that count, as the language writes it.

    >>> [number(value, "en") for value in (1457.2, 97.3, 1.414, 0.0000012)]
    ['1,457', '97', '1.41', '1.2e-06']
    >>> number(1457.2, "pt-BR"), number(1.414, "pt-BR")
    ('1.457', '1,41')
    """
    if value and abs(value) < 0.001:
        written = f"{value:.1e}"
    elif abs(value) >= 20:
        written = f"{value:,.0f}"
    else:
        written = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return written.translate(str.maketrans(",.", ".,")) if language == "pt-BR" else written


def _row(figure: Figure, results: Results, language: Language) -> tuple[str, ...]:
    claim = figure.claim
    ratio, sign = _NOTHING, _NOTHING
    if figure.missing:
        why = " ".join(figure.missing.split()).replace("|", "/")
        ratio = f"{words.NOT_MEASURED[language]}: {why}"
    elif figure.ratio:
        found = {name: number(getattr(figure.ratio, name), language) for name in ("value", "low", "high")}
        ratio = words.RANGE[language].format(**found, rounds=figure.ratio.rounds)
    if claim.relation:
        limit = f"{claim.limit:g}".replace(".", "," if language == "pt-BR" else ".")
        own = claim.of == "ours" and claim.peer
        sign = f"{words.HEAD[language][1] + ' ' if own else ''}{_SIGN[claim.relation]} {limit}"
    return (
        words.SERIES[claim.series][language],
        _side(figure.ours, claim.ours, results, language),
        _side(figure.peer, claim.peer, results, language),
        ratio,
        sign,
        _kept(figure, language),
    )


def _side(value: float | None, contestant: str | None, results: Results, language: Language) -> str:
    if contestant is None:
        return _NOTHING
    name = words.CONTESTANTS[contestant][language].format(before=results.about["before"])
    parts = [part for part in (number(value, language) if value is not None else _NOTHING, name) if part]
    return ", ".join(parts)


def _kept(figure: Figure, language: Language) -> str:
    if figure.kept is None:
        return words.NOT_MEASURED[language] if figure.claim.relation else _NOTHING
    return words.YES[language] if figure.kept else words.NO[language]
