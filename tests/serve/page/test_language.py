"""The languages of the page: the same words in each, the one that is chosen, and its numbers and dates."""

import re
from datetime import date

import pytest
from babel import Locale

from serve.page.language import Language, choose_language, languages

ENGLISH, PORTUGUESE = languages()["en"], languages()["pt"]


@pytest.mark.parametrize("language", languages().values(), ids=lambda language: language.code)
def test_every_language_says_the_same_things_with_the_same_places_to_fill(language: Language) -> None:
    assert language.words.keys() == ENGLISH.words.keys()
    for key, text in ENGLISH.words.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", language.words[key])), key


@pytest.mark.parametrize("language", languages().values(), ids=lambda language: language.code)
def test_every_language_is_chosen_by_its_code_and_by_the_tag_of_its_pages(language: Language) -> None:
    assert choose_language(language.code, "en, pt;q=0.5") is language
    assert choose_language(None, f"{language.words['html_lang']}, en;q=0.5") is language
    assert language.words["html_lang"].split("-")[0] == language.code.split("-")[0]


@pytest.mark.parametrize(
    ("asked", "header", "language"),
    [
        (None, "", "en"),
        (None, "pt-BR,pt;q=0.9,en;q=0.8", "pt"),
        (None, "en-GB,pt;q=0.9", "en"),
        (None, "de,pt;q=0.2", "pt"),
        (None, "pt;q=0", "en"),
        (None, "pt;q=wrong, en", "en"),
        ("pt", "en", "pt"),
        ("<x>", "en", "en"),
        ("PT", "en", "pt"),
        (None, "PT-pt, *;q=0.1", "pt"),
    ],
)
def test_the_language_is_the_one_asked_for_then_the_browsers(asked: str | None, header: str, language: str) -> None:
    assert choose_language(asked, header).code == language


def test_a_percentage_never_claims_certainty_and_follows_the_language() -> None:
    assert ENGLISH.percent(0.8765) == "87.6%"
    assert PORTUGUESE.percent(0.8765) == "87,6%"
    assert ENGLISH.percent(0.99999) == ">99.9%"
    assert PORTUGUESE.percent(0.0) == "<0,1%"
    assert Language(code="de", words={}, locale=Locale.parse("de")).percent(0.8765) == "87,6\N{NO-BREAK SPACE}%"


def test_counts_decimals_and_days_follow_the_language() -> None:
    assert [ENGLISH.count(2798), PORTUGUESE.count(2798)] == ["2,798", "2.798"]
    assert [ENGLISH.decimal(0.97), PORTUGUESE.decimal(0.97)] == ["0.970", "0,970"]
    day = date(2026, 11, 25)
    assert [ENGLISH.date(day), PORTUGUESE.date(day)] == ["Nov 25, 2026", "25 de nov. de 2026"]
    assert [ENGLISH.name, PORTUGUESE.name] == ["English", "Português"]
