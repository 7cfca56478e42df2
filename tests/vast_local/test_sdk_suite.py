"""The client library's own tests, run against the local server.

They need pandas to compare tables, so they are skipped where it is not installed.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import vastdb

pytest.importorskip("pandas", reason="the client library's own tests import pandas")

SUITES = ("sanity", "schemas", "tables", "table_in_tx", "nested", "util")

NOT_HERE = {
    "test_tables.py::test_catalog_select": "reads VAST's built-in catalog of files",
    "test_tables.py::test_catalog_snapshots_select": "reads snapshots of that catalog",
    "test_tables.py::test_audit_log_select": "reads VAST's built-in audit log",
    "test_tables.py::test_elysium_splits": "sleeps five minutes for background sorting",
    "test_tables.py::test_list_columns_with_pagination": "64 000 columns: passes in half a minute",
    "test_tables.py::test_filters": "isin of 10 000 values: passes in twenty seconds, all client",
}


def test_the_client_librarys_own_tests_pass(server, tmp_path):
    package = Path(vastdb.__file__).parent
    options = [
        f"--confcutdir={package}",
        f"--rootdir={package}",
        f"--tabular-endpoint-url={server.endpoint}",
        f"--tabular-bucket-name={server.sdk_bucket}",
        f"--tabular-access-key={server.access}",
        f"--tabular-secret-key={server.secret}",
        *(f"--deselect=tests/{name}" for name in NOT_HERE),
    ]
    suites = [str(package / "tests" / f"test_{name}.py") for name in SUITES]

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *suites],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-5000:]
