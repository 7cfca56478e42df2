"""The account of our conformance, docs/conformance.md, is whole, and what it names is there.

* Every operation of the specification is in it once, and every normative sentence, word for word;
  nothing else is said to be either.
* What is said to be implemented is shown by a test; what is not has its reason.
* The tests it names exist, and every test of this folder is named.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.spec.official import Official
from tests.spec.sentences import NORMATIVE, descriptions, normative, sentences

TESTS = Path(__file__).parents[1]
ACCOUNT = (TESTS.parent / "docs" / "conformance.md").read_text()


def _section(title: str, *, level: int = 2) -> str:
    """The text under a heading, up to the next of its level or above."""
    start, end = f"{'#' * level} {re.escape(title)}", f"#{{1,{level}}} "
    found = re.search(rf"(?ms)^{start}$(.*?)(?=^{end}|\Z)", ACCOUNT)
    assert found is not None, f"there is no section {title}"
    return found[1]


def _rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables in a text, without their headings."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]
    return [row for row in rows if row[0] not in {"Operation", "Sentence"}]


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


OPERATIONS = _rows(_section("Operations"))
SENTENCES = _rows(_section("Sentences"))


def _tests(folder: Path) -> dict[str, str]:
    """Every test in or below a folder but those here, and the file it is in."""
    return {
        name: path.name
        for path in folder.rglob("test_*.py")
        if path != Path(__file__)
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


# --- tests -----------------------------------------------------------------------------


def test_every_test_the_account_names_exists():
    named = set(re.findall(r"`(test_\w+)`", ACCOUNT))

    assert named
    assert named - _tests(TESTS).keys() == set()


def test_every_test_is_in_the_account():
    files = re.findall(r"the others of `(test_\w+\.py)`", ACCOUNT)

    missing = [
        name
        for name, file in _tests(TESTS / "spec").items()
        if f"`{name}`" not in ACCOUNT and file not in files
    ]

    assert missing == []


def test_what_is_implemented_is_shown_and_what_is_not_has_its_reason():
    for what, *_, here, tests in OPERATIONS + SENTENCES:
        said, _, reason = here.partition(": ")

        assert said in {"yes", "no", "client's"}, what
        assert tests in {"-", ", ".join(f"`{name}`" for name in _quoted(tests))}, what
        assert said != "yes" or tests != "-", what
        assert said != "no" or reason, what


# --- the specification -----------------------------------------------------------------


def test_every_operation_of_the_specification_is_in_the_account(official: Official):
    said = [(name, *_quoted(row[1])) for row in OPERATIONS for name in _quoted(row[0])]

    operations = official.document.operations.values()
    assert Counter(said) == Counter((operation.name, operation.path) for operation in operations)


def test_every_normative_sentence_of_the_specification_is_in_the_account(official: Official):
    expected = normative(official)
    parts = {sentence.part for sentence in expected}

    said = [
        (part, row[0], *sorted(_quoted(row[1])))
        for part in parts
        for row in _rows(_section(part, level=3))
    ]

    assert len(said) == len(SENTENCES)
    assert Counter(said) == Counter(
        (sentence.part, sentence.text, *sorted(subjects)) for sentence, subjects in expected.items()
    )


def test_every_sentence_says_whom_it_binds():
    assert {row[2] for row in SENTENCES} == {"service", "client", "both"}


# --- the reader of sentences -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "One.\nTwo on\ntwo lines. `three` SHALL be.",
            ["One.", "Two on two lines.", "`three` SHALL be."],
        ),
        (
            "Rules:\n  - One MUST be\n  - Two.\n    Three\n\nFour",
            ["Rules:", "One MUST be", "Two.", "Three", "Four"],
        ),
        (
            "Some (e.g. This) and _e.g._ that, i.e. Both.",
            ["Some (e.g. This) and _e.g._ that, i.e. Both."],
        ),
        ("Version 8.2 or greater. 404 MUST be it.", ["Version 8.2 or greater.", "404 MUST be it."]),
        ("Of a tag. {name} MUST be URL encoded", ["Of a tag.", "{name} MUST be URL encoded"]),
        ("See [this `page`](#/over/there) first.", ["See this `page` first."]),
        ("It is. i.e. it goes on.", ["It is. i.e. it goes on."]),
    ],
)
def test_texts_are_read_as_sentences(text: str, expected: list[str]):
    assert sentences(text) == expected


def test_no_normative_word_is_outside_of_descriptions(official: Official):
    files = [
        official.directory / "TimeAddressableMediaStore.yaml",
        *(official.directory / "schemas").glob("*.json"),
    ]

    read = sum(len(NORMATIVE.findall(each.text)) for each in descriptions(official))

    assert read == sum(len(NORMATIVE.findall(path.read_text())) for path in files)
