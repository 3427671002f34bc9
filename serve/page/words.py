"""What the page says, in each language, and which language a browser prefers."""

from serve.page import english, portuguese

LANGUAGES = {"en": "English", "pt": "Português"}
DEFAULT = "en"

WORDS: dict[str, dict[str, str]] = {"en": english.WORDS, "pt": portuguese.WORDS}


def choose_language(asked: str | None, accept_language: str) -> str:
    """The language of a page: the one asked for by `?lang=`, else the browser's most preferred that we have."""
    if asked in LANGUAGES:
        return asked
    ranked: list[tuple[float, str]] = []
    for entry in accept_language.split(",")[:20]:
        tag, _, quality = entry.strip().partition(";")
        language = tag.strip().lower().split("-")[0]
        if language in LANGUAGES:
            ranked.append((_quality(quality), language))
    best = max(ranked, key=lambda item: item[0], default=(0.0, DEFAULT))
    return best[1] if best[0] > 0 else DEFAULT


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def percent(value: float, language: str) -> str:
    """A probability as a percentage with one decimal; never 0 or 100, which would claim certainty."""
    if value >= 0.9995:
        text = ">99.9%"
    elif value < 0.0005:
        text = "<0.1%"
    else:
        text = f"{100 * value:.1f}%"
    return text.replace(".", ",") if language == "pt" else text
