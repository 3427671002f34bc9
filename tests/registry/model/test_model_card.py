"""The model card: every number that a version carries, nothing where it carries none, in Markdown that renders."""

import json

from markdown_it import MarkdownIt

from registry.model.model_card import model_card

ESTIMATE = {"value": 0.9731, "low": 0.961, "high": 0.984}
SHARE = {"value": 0.012, "low": 0.0, "high": 0.03}
CHANGE = {"images": 200, "turned": 0.019, "auc": 0.996}
WHOLE = {
    "held_out": {"images": 400, "auc": ESTIMATE, "specificity": ESTIMATE},
    "held_out_shifted": {"images": 400, "auc": ESTIMATE},
    "test": {"images": 624, "auc": {"value": 0.969, "low": 0.95, "high": 0.98}},
    "abstention": {"held_out": {"coverage": 0.93, "accuracy": 0.987}, "test": {"coverage": 0.0, "accuracy": None}},
    "changes": {"JPEG 40": CHANGE},
    "scope": {"held_out": {"refused": SHARE, "doubtful": SHARE}},
    "model": "support vector machine",
    "threshold_rule": "chosen as if both errors cost the same",
    "data": {
        "kind": "kaggle",
        "digest": "abc",
        "pictures": {"train": {"NORMAL": 100, "PNEUMONIA": 300}, "test": {"NORMAL": 0, "PNEUMONIA": 0}},
        "patients": {"train": {"NORMAL": 90, "PNEUMONIA": 200}},
    },
}


def test_a_card_tells_what_a_version_is_and_every_number_that_it_carries():
    card = model_card(WHOLE, threshold=0.8187, unsure=(0.7, 0.9), features=1234)
    for told in (
        *("support vector machine", "1234 OpenCV", "from 0.819", "not a medical device", "CC BY 4.0", "`abc`"),
        "- Threshold: chosen as if both errors cost the same",
        *("| train | 400 | 300 | 290 |", "| AUC | 0.973 | (0.961 to 0.984) |", "refuses 1.2 %", "from 0.700 to 0.900"),
        *("| JPEG 40 | 1.9 % | 0.996 |", "| X-rays of held-out patients | 93.0 % | 0.987 |"),
    ):
        assert told in card, told
    assert "| test | 0" not in card
    assert (
        card.index("624 X-rays in test/") < card.index("400 X-rays of held-out") < card.index("400 views of held-out")
    )


def test_a_card_is_the_same_once_its_numbers_were_written_and_read():
    numbers = {**WHOLE, "changes": {"b": CHANGE, "a": CHANGE, "worse": CHANGE | {"turned": 0.03}}}
    read = json.loads(json.dumps(numbers, sort_keys=True))
    cards = {model_card(found, threshold=0.5, unsure=(0.4, 0.6), features=1) for found in (numbers, read)}
    assert len(cards) == 1
    (card,) = cards
    assert card.index("| worse |") < card.index("| a |") < card.index("| b |")


def test_what_a_version_does_not_carry_has_no_section():
    card = model_card({}, threshold=0.5, unsure=None, features=10)
    titles = [line for line in card.splitlines() if line.startswith("#")]
    assert titles == ["# Pneumonia on chest X-rays: model card", "## Intended use", "## Limits"]


def test_generated_and_own_data_are_told_apart():
    for kind, told in (("generated", "has never seen an X-ray"), ("folder", "knows neither their licence")):
        data = {"kind": kind, "pictures": {}, "digest": "x"}
        assert told in model_card({"data": data}, threshold=0.5, unsure=None, features=10)


def test_its_tables_are_tables_to_a_reader_of_markdown():
    html = (
        MarkdownIt("commonmark")
        .enable("table")
        .render(model_card(WHOLE, threshold=0.8187, unsure=(0.7, 0.9), features=1234))
    )
    assert html.count("<table>") == 6
    assert "|" not in html
