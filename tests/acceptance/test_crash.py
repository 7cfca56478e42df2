"""Whatever dies whenever, what was acknowledged is there once; see `bench.crash`."""

from pathlib import Path

import pytest

from bench.crash.run import VICTIMS, crash
from bench.crash.verdict import Report


def assert_passed(report: Report, least_of_each: int) -> None:
    assert report.faults
    assert {kind: texts[:5] for kind, texts in report.faults.items() if texts} == {}
    assert all(report.kills[name] >= least_of_each for name in VICTIMS)
    assert report.counts["segments acknowledged"] > report.counts["segments refused"] > 0
    assert report.counts["segments put aside"] == 0


@pytest.mark.timeout(600)
def test_killed_at_random_a_store_loses_and_doubles_nothing(tmp_path: Path) -> None:
    report = crash(tmp_path, segments=1_500, files=60, kills=10, seed=1, limit_s=500)

    assert_passed(report, least_of_each=1)


@pytest.mark.slow
@pytest.mark.timeout(6_000)
def test_killed_over_and_over_a_store_loses_and_doubles_nothing(tmp_path: Path) -> None:
    report = crash(tmp_path, segments=50_000, files=2_000, kills=125, seed=2, limit_s=5_400)

    assert_passed(report, least_of_each=10)
