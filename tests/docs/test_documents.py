"""The documents: links resolve, commands exist, both languages have one structure, and a figure has its command."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from registry.settings import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Without a translation, as decisions are: a protocol of measurements, and the list of changes.
ENGLISH_ONLY = {"CHANGELOG.md", "docs/ablation.md"}
# What readers put in stands in words of their language.
OWN = {
    r"(path|caminho|pasta)/[\w/-]+": "PATH",
    r"@(xray|raiox|radiografia)\.jpeg": "@XRAY",
    r"\w+@example\.com": "MAIL",
    r'--why "[^"]+"': "--why REASON",
}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def portuguese(page: Path) -> Path:
    return page.with_name(f"{page.stem}.pt-BR.md")


def anchors(page: Path) -> set[str]:
    """What can stand behind `#`, as GitHub makes it of each heading."""
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    titles = [tokens[number + 1].content for number, token in enumerate(tokens) if token.type == "heading_open"]
    plain = [re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def links(text: str) -> list[str]:
    """Where links and pictures of a text lead."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for child in token.children or ():
            found += [str(child.attrs[name]) for name in ("href", "src") if name in child.attrs]
    return found


def broken(page: Path, text: str) -> list[str]:
    """The links that lead nowhere."""
    lost = []
    for link in links(text):
        if re.match(r"https://[\w.-]+|http://localhost", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    return lost


def commands(text: str) -> Iterator[str]:
    """Each line of a shell block, and each command within a sentence or a table."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "fence" and token.info == "bash":
            yield from re.sub(r"\\\n\s*", " ", token.content).splitlines()
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def wrong(command: str) -> list[str]:
    """What of a command does not exist: a target of make, a module, an option."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    variables = set(re.findall(r"^([A-Z_]+) [?:]?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    variables |= set(re.findall(r"([A-Z_]{4,})", (ROOT / ".env.example").read_text()))
    found = []
    for part in re.split(r"&&|;|\||\$\(", command):
        if made := re.match(r'\s*(?:eval ")?make\s+([^#")]+)', part):
            for word in made[1].split():
                name, assigned, _ = word.partition("=")
                if assigned and name not in variables:
                    found.append(f"make takes no {name}")
                if not assigned and name not in targets and re.fullmatch(r"[a-z-]+", name):
                    found.append(f"make has no {name}")
        for module, arguments in re.findall(r"python -m ((?:ray_jobs|serve|benchmarks)[\w.]*)([^#`]*)", part):
            found += [f"{module}: {lost}" for lost in missing(module, arguments)]
    return found


def missing(module: str, arguments: str) -> list[str]:
    path = ROOT / module.replace(".", "/")
    path = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    if not path.exists():
        return ["is no module"]
    sources = [path, ROOT / "ray_jobs/runtime/cli.py", ROOT / "serve/lifecycle/session.py"]
    options = set(re.findall(r'"(--[a-z-]+)"', "".join(source.read_text() for source in sources))) | {"--help"}
    return [option for option in re.findall(r"(?<!\S)(--[a-z-]+)", arguments) if option not in options]


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = page.read_text().split(f"\n{heading}\n", 1)[1]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    first = next(number for number, line in enumerate(lines) if set(line) <= set("|-"))
    table: list[list[str]] = []
    for line in section[section.index(lines[first]) :].splitlines()[1:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return table


@every_page
def test_every_link_of_a_page_leads_somewhere(page: Path):
    assert broken(page, page.read_text()) == []


def test_a_link_to_a_file_or_heading_that_there_is_not_is_found():
    page = ROOT / "README.md"
    text = "[a](docs/nowhere.md) [b](docs/docker.md#nowhere) [c](#limits) [d](docs/docker.md#up) ![e](docs/none.png)"
    assert broken(page, text) == ["docs/nowhere.md", "docs/docker.md#nowhere", "docs/none.png"]


@every_page
def test_every_command_of_a_page_exists_with_its_options(page: Path):
    assert [f"{command}: {lost}" for command in commands(page.read_text()) for lost in wrong(command)] == []


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        ("make nonsense STACK=aws", ["make has no nonsense"]),
        ("make up STAGE=aws", ["make takes no STAGE"]),
        ('eval "$(make tokens)"', ["make has no tokens"]),
        (".venv/bin/python -m ray_jobs.trian", ["ray_jobs.trian: is no module"]),
        ("python -m ray_jobs.train --fast 3", ["ray_jobs.train: --fast"]),
        ("ray job submit --address http://localhost:8265 -- python -m ray_jobs.train --replace-other-data WHY", []),
        ("make run DATA_URI=path && make serve  # and so on", []),
    ],
)
def test_a_command_that_there_is_not_is_found(command: str, lost: list[str]):
    assert wrong(command) == lost


def test_every_page_but_decisions_has_its_portuguese_with_the_same_structure():
    pairs = [page for page in PAGES if ".pt-BR" not in page.name and page.parent.name != "adr"]
    for page in pairs:
        name = str(page.relative_to(ROOT))
        if name in ENGLISH_ONLY:
            continue
        assert portuguese(page).exists(), f"{name} has no {portuguese(page).name}"
        assert structure(page) == structure(portuguese(page)), name


def structure(page: Path) -> list[str]:
    """Headings, tables, lists and blocks in their order, and what is typed, without its comments."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        if token.type == "fence":
            found.append(token.info + "\n" + "\n".join(typed(line) for line in token.content.splitlines()))
        elif token.type in ("heading_open", "tr_open", "list_item_open", "paragraph_open"):
            found.append(f"{token.tag} {token.level}")
    return [part for part in found if not part.startswith(("\n", "p "))]  # a drawing has words of the language


def typed(line: str) -> str:
    """A line without its comment, and without what readers put in."""
    for theirs, same in OWN.items():
        line = re.sub(theirs, same, line)
    try:
        return shlex.join(shlex.split(line, comments=True))
    except ValueError:
        return re.sub(r"\s+#.*", "", line)


@pytest.mark.parametrize("page", ["README.md", "README.pt-BR.md"])
def test_every_figure_of_the_readme_has_its_command(page: str):
    heading = {"README.md": "## How good, how fast", "README.pt-BR.md": "## Quão bom, quão rápido"}[page]
    table = rows(ROOT / page, heading)
    assert len(table) >= 15
    assert [row for row in table if len(row) != 3 or not re.fullmatch(r"`[^`]+`|[–-].*", row[2])] == []
    typed_there = [row[2].strip("`") for row in table]
    assert all(re.match(r"(python -m|make|GET|\w+=\S+ make)", command) for command in typed_there)
    assert [lost for command in typed_there for lost in wrong(command)] == []
