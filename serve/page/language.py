"""The languages of the page: their words, how they write numbers and dates, and which one a browser prefers."""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import import_module
from types import MappingProxyType

from babel import Locale, negotiate_locale
from babel.dates import format_date
from babel.numbers import format_decimal, format_percent
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from serve.page import languages as catalogues

DEFAULT = "en"


@dataclass(frozen=True, kw_only=True)
class Language:
    """One language of the page.

    Attributes
    ----------
    code
        What `?lang=` calls it: the name of its module.
    words
        Every text of the page by its key.
    locale
        How it writes numbers and dates.
    """

    code: str
    words: Mapping[str, str]
    locale: Locale

    @property
    def name(self) -> str:
        """The language's own name for itself."""
        return str(self.locale.get_language_name(self.locale.language)).capitalize()

    def percent(self, probability: float) -> str:
        """A probability as a percentage with one decimal; never 0 or 100, which would claim certainty."""
        sign = ">" if probability >= 0.9995 else "<" if probability < 0.0005 else ""
        pattern = self.locale.percent_formats[None].pattern.replace("0", "0.0", 1)
        return sign + format_percent(min(max(probability, 0.001), 0.999) if sign else probability, pattern, self.locale)

    def decimal(self, value: float) -> str:
        """A number with three decimals."""
        return format_decimal(value, "0.000", self.locale)

    def count(self, value: int) -> str:
        """A whole number, its thousands grouped."""
        return format_decimal(value, locale=self.locale)

    def date(self, day: date) -> str:
        """A day, in the usual medium length."""
        return format_date(day, "medium", self.locale)


@cache
def languages() -> Mapping[str, Language]:
    """Every language that has a module in `serve.page.languages`, by its code."""
    found = {}
    for module in pkgutil.iter_modules(catalogues.__path__):
        words: Mapping[str, str] = import_module(f"{catalogues.__name__}.{module.name}").WORDS
        code = module.name.replace("_", "-").lower()
        found[code] = Language(code=code, words=words, locale=Locale.parse(words["html_lang"], sep="-"))
    return MappingProxyType(found)


def choose_language(asked: str | None, accept_language: str) -> Language:
    """The language of a page: the one asked for by `?lang=`, else the browser's most preferred that we have."""
    accepted = parse_accept_header(accept_language, LanguageAccept)
    preferred = [asked or "", *(tag for tag, quality in accepted if quality > 0)]
    found = negotiate_locale(preferred, languages(), sep="-") or DEFAULT
    return languages()[found.lower()]
