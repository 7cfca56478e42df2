"""The commands, as they are typed."""

import secrets
from uuid import UUID

import pytest
from click.testing import CliRunner

from infra.media.probe import probe
from tests.media.making import Recipe, record
from workers.client.commands import demo, get, ingest

MOMENTS = {
    "10:500000000": "[10:500000000_11:500000000)",
    "1970-01-01T00:00:02.5Z": "[2:500000000_3:500000000)",
    "1970-01-01T01:00:02+01:00": "[2:0_3:0)",
}


def run(command, *arguments, **environment):
    return CliRunner().invoke(command, list(map(str, arguments)), env=environment)


def new_id():
    return str(UUID(bytes=secrets.token_bytes(16), version=4))


@pytest.mark.parametrize(("start", "timerange"), MOMENTS.items())
def test_a_file_goes_in_and_comes_out(store_facts, tmp_path, start, timerange):
    recording = record(tmp_path / "r", Recipe(frames=25, audio=None))
    flow_id = new_id()

    put = run(ingest, recording, "--flow", flow_id, "--start", start, "--api", store_facts["api"])
    got = run(get, flow_id, timerange, "-o", tmp_path / "o.mp4", TAMS_API_URL=store_facts["api"])

    assert put.exit_code == got.exit_code == 0
    assert f"flow {flow_id} {timerange}" in put.stdout
    assert f"25 frames in {timerange}" in got.stdout
    assert len(probe(tmp_path / "o.mp4").tracks[0].pts) == 25


def test_without_a_store_one_line_says_how_to_get_one(tmp_path):
    for command, arguments in (
        (ingest, [record(tmp_path / "r", Recipe(frames=5))]),
        (get, [new_id(), "_", "-o", tmp_path / "o.ts"]),
        (demo, []),
    ):
        result = run(command, *arguments, TAMS_DATA_DIR=str(tmp_path), TAMS_API_URL="")

        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert "tams up" in result.stderr


WRONG = {
    "no timerange": (get, [new_id(), "tomorrow", "-o", "o.ts"]),
    "no flow id": (get, ["flow", "_", "-o", "o.ts"]),
    "no duration": (ingest, ["f", "--segment-duration", "0"]),
    "no zone": (ingest, ["f", "--start", "2026-01-01T00:00:00"]),
}


@pytest.mark.parametrize(("command", "arguments"), WRONG.values(), ids=WRONG)
def test_what_is_not_understood_is_named(command, arguments):
    result = run(command, *arguments)

    assert result.exit_code == 2
    assert "Invalid value" in result.stderr


def test_a_file_that_is_no_media_gets_one_line(tmp_path):
    (tmp_path / "t.txt").write_text("no media\n" * 100)

    result = run(ingest, tmp_path / "t.txt", "--api", "http://127.0.0.1:9")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: t.txt cannot be read as media")
