"""VAST's own tests of its client library pass, as many of them as ever did."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.vast_local import sdk

ROOT = Path(__file__).parents[2]

# Two at a time, about as long as each other; each empties the bucket it is given.
HALVES = (
    ("tables", "nested", "projections", "schemas", "sanity", "util"),
    (
        "by_column_inserter",
        "fixed_list",
        "table_in_tx",
        "configs",
        "ibis_utils",
        "vector_index",
        "vector_search",
        "adbc_integration",
    ),
)


def test_every_file_that_counts_is_run():
    assert sorted(name for half in HALVES for name in half) == sorted(sdk.RECORDED)


def test_the_client_librarys_own_tests_pass(server, tmp_path):
    without = [*sdk.NOT_HERE, *sdk.SLOW]
    with ExitStack() as stack:
        runs = []
        for i, suites in enumerate(HALVES):
            command = [
                *sdk.arguments(server.options(server.sdk_buckets[i]), patient=server.is_cluster),
                f"--junitxml={tmp_path / f'{i}.xml'}",
                *sdk.selection(suites, without=without),
            ]
            run = sdk.start(command, tmp_path / f"{i}.log", root=ROOT)
            stack.callback(run.kill)
            if server.is_cluster:  # it has one bucket for this
                run.wait()
            runs.append(run)
        results = [run.wait() for run in runs]

    logs = [(tmp_path / f"{i}.log").read_text() for i in range(len(HALVES))]
    assert results == [0, 0], "\n".join(log[-4000:] for log in logs)
    counts = sdk.passed(tmp_path / "0.xml") + sdk.passed(tmp_path / "1.xml")
    fewer = {name: counts[name] for name, least in sdk.RECORDED.items() if counts[name] < least}
    assert not fewer, f"fewer tests pass than did: {fewer}"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_slow_tests_of_the_client_library_pass(server, tmp_path):
    command = sdk.arguments(server.options(server.sdk_buckets[0]), patient=server.is_cluster)
    report = tmp_path / "slow.xml"
    names = [str(sdk.PACKAGE / "tests" / name) for name in sdk.SLOW]

    run = sdk.start([*command, f"--junitxml={report}", *names], tmp_path / "slow.log", root=ROOT)
    try:
        result = run.wait()
    finally:
        run.kill()

    assert result == 0, (tmp_path / "slow.log").read_text()[-4000:]
    assert sdk.passed(report) == {"tables": len(sdk.SLOW)}
