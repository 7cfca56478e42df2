"""The container files, read and checked: there need not be an engine to run them."""

import importlib.metadata
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from workers import up
from workers.cli import main as tams

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
EXAMPLE = (ROOT / "deploy" / "example.env").read_text()

_REFERENCE = re.compile(r"\$\{(?P<name>TAMS_[A-Z0-9_]+)(?P<default>:?[-?])?")


def known_variables() -> set[str]:
    """What settings and local services read."""
    sources = (ROOT / "infra" / "settings.py", ROOT / "infra" / "local_services" / "plan.py")
    named = {
        name
        for source in sources
        for name in re.findall(r'"(TAMS_[A-Z0-9_]+)"', source.read_text())
    }
    kinds = ("API", "LISTENER", "REDIS", "S3", "VAST")
    return named | {f"TAMS_{kind}_{part}" for kind in kinds for part in ("HOST", "PORT")}


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_a_command_of_tams_from_the_one_image(name):
    service = SERVICES[name]
    first, *rest = service["command"]
    command = tams.commands[first]

    command.make_context(f"tams {first}", rest)

    assert service["image"] == "tams-server"


def test_every_process_of_a_store_has_a_service():
    started = {
        name for each in SERVICES.values() for name in each["command"] if each["command"][0] == "up"
    }
    own = {"init", "api", "worker", "bulk", "events", "beat", "listener"}

    assert {*up.SERVICES} - own <= started
    assert own <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_sets_only_variables_that_are_read(name):
    assert set(SERVICES[name]["environment"]) <= known_variables()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_depends_on_services_that_can_do_what_is_waited_for(name):
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        other = SERVICES[needed]
        match how["condition"]:
            case "service_healthy":
                assert other["healthcheck"]["test"]
            case "service_completed_successfully":
                assert other["restart"] == "on-failure"
            case condition:
                assert condition == "service_started"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_keeps_its_data_in_a_volume_that_exists(name):
    for volume in SERVICES[name].get("volumes", []):
        source, target = volume.split(":")

        assert source in COMPOSE["volumes"]
        assert target == "/data"


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_has_a_default(name):
    for variable, value in SERVICES[name]["environment"].items():
        if variable.endswith(("_KEY", "_TOKEN", "_PASSWORD")):
            assert value == f"${{{variable}:?set it in .env}}"


def test_every_secret_is_asked_for_in_the_example_and_given_nowhere():
    text = (ROOT / "docker-compose.yml").read_text()
    required = {m["name"] for m in _REFERENCE.finditer(text) if m["default"] == ":?"}

    offered = dict(re.findall(r"^(TAMS_[A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))

    assert offered == dict.fromkeys(required, "")


def test_every_variable_in_the_example_is_used():
    text = (ROOT / "docker-compose.yml").read_text()
    used = {match["name"] for match in _REFERENCE.finditer(text)}

    assert set(re.findall(r"TAMS_[A-Z0-9_]+", EXAMPLE)) <= used


def test_the_image_copies_only_what_is_there_and_sent_to_it():
    ignore = (ROOT / ".dockerignore").read_text().split()
    sent = [line[1:] for line in ignore if line.startswith("!")]
    copied = [
        source for word, rest in instructions() if word == "COPY" for source in rest.split()[:-1]
    ]

    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source.removeprefix("./"), pattern) for pattern in sent), source


def test_the_image_carries_every_package_that_is_shipped():
    pyproject = (ROOT / "pyproject.toml").read_text()
    (shipped,) = re.findall(r"^only-include = \[(.*)\]", pyproject, re.MULTILINE)
    copied = " ".join(rest for word, rest in instructions() if word == "COPY")

    for name in re.findall(r'"([^"]+)"', shipped):
        assert re.search(rf"\b{re.escape(name)}\b", copied), name


def test_the_image_runs_the_installed_command_as_nobody_special():
    said = dict(instructions())

    (entry_point,) = importlib.metadata.entry_points(group="console_scripts", name="tams")
    assert isinstance(entry_point.load(), click.Group)
    assert said["ENTRYPOINT"] == '["tams"]'
    assert said["CMD"] == '["up"]'
    assert said["USER"] == "tams"
    assert "TAMS_DATA_DIR=/data" in said["ENV"]
