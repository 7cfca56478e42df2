"""What the documents say is there is there."""

import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [
    path
    for package in ("infra", "workers", "celeryconfig.py")
    for path in ([ROOT / package] if package.endswith(".py") else (ROOT / package).rglob("*.py"))
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())

    missing = [link for link in links if not (document.parent / link).exists()]

    assert missing == []


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    read = {
        name
        for path in SOURCES
        for name in re.findall(r'"(TAMS_[A-Z0-9_]+[A-Z0-9])"', path.read_text())
    }
    named = set(re.findall(r"`(TAMS_[A-Z0-9_]+)`", (ROOT / "docs/settings.md").read_text()))
    ports = {name for name in named if name.endswith("_PORT")}  # put together from parts

    assert read - named - {"TAMS_REDIS_PASSWORD"} == set()
    assert named - read - ports == set()


def test_nothing_else_installed_provides_our_packages() -> None:
    provided = packages_distributions()

    for package in ("api", "workers", "tasks", "schemas", "infra"):
        assert set(provided.get(package, ["tams-server"])) == {"tams-server"}
