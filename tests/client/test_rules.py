"""The commands `tams rules`, as they are typed."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.making import new_id, put_flow
from workers.cli import main


@pytest.fixture
def typed(store_facts: dict[str, Any]) -> Any:
    def run(*arguments: object, given: object = None) -> Result:
        text = None if given is None else json.dumps(given)
        environment = {"TAMS_API_URL": store_facts["api"]}
        words = ["rules", *map(str, arguments)]
        return CliRunner().invoke(main, words, input=text, env=environment)

    return run


def test_a_rule_is_created_listed_shown_changed_tried_and_deleted(
    api: Any, typed: Any, tmp_path: Path
) -> None:
    prefix, flow_id = f"typed/{new_id()}/", put_flow(api)
    rule = {"bucket": "tams-media", "prefix": prefix, "flow": {"id": flow_id}}
    rule |= {"key": "{start:s}_{duration:s}.ts", "check_media": False}
    file = tmp_path / "rule.json"
    file.write_text(json.dumps(rule))

    rule_id = typed("create", file).stdout.strip()
    assert f"{rule_id}    100  tams-media/{prefix}" in typed("list").stdout
    shown = json.loads(typed("show", rule_id).stdout)
    assert shown["key"] == rule["key"]
    assert typed("change", rule_id, "-", given={**shown, "enabled": False}).exit_code == 0
    assert "(disabled)" in typed("list").stdout
    assert typed("change", rule_id, file).exit_code == 0

    good = typed("test", "tams-media", f"{prefix}1764072000_2.ts")
    assert good.exit_code == 0
    assert "segment [1764072000:0_1764072002:0)" in good.stdout.splitlines()
    bad = typed("test", "tams-media", f"{prefix}5_2.ts")
    assert bad.exit_code == 1
    assert "implausible-time: " in bad.stdout

    assert typed("delete", rule_id).exit_code == 0
    gone = typed("show", rule_id)
    assert (gone.exit_code, len(gone.stderr.splitlines())) == (1, 1)


def test_what_is_wrong_with_a_rule_is_said_in_one_line(typed: Any) -> None:
    rule = {"bucket": "tams-media", "flow": {"name": "{camera}"}}

    result = typed("create", "-", given=rule)

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "flow.name" in result.stderr
