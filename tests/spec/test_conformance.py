"""The account of our conformance, docs/conformance.md, names tests that exist, and all of them."""

import re
from pathlib import Path

HERE = Path(__file__).parent
ACCOUNT = HERE.parents[1] / "docs" / "conformance.md"


def _tests() -> dict[str, str]:
    """Every test of this folder but these, and the file it is in."""
    return {
        name: path.name
        for path in HERE.glob("test_*.py")
        if path != Path(__file__)
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_every_test_the_account_names_exists():
    named = set(re.findall(r"`(test_\w+)`", ACCOUNT.read_text()))

    assert named
    assert named - _tests().keys() == set()


def test_every_test_is_in_the_account():
    account = ACCOUNT.read_text()
    files = re.findall(r"the others of `(test_\w+\.py)`", account)

    missing = [n for n, file in _tests().items() if f"`{n}`" not in account and file not in files]

    assert missing == []
