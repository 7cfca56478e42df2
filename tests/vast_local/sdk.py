"""VAST's own tests of its client library: which are run, which are not, how many must pass.

They ship inside the installed `vastdb` package. A file's number is how many of its tests
passed when it was last recorded; raise it when more do, never lower it without a reason.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import vastdb

from infra.settings import process_environment

PACKAGE: Final = Path(vastdb.__file__).parent
PANDAS: Final = Path(sys.prefix) / "sdk-tests"  # kept away from the processes of the store

RECORDED: Final[Mapping[str, int]] = {
    "sanity": 4,
    "schemas": 6,
    "tables": 63,
    "table_in_tx": 13,
    "nested": 4,
    "util": 4,
    "configs": 2,
    "ibis_utils": 13,
    "projections": 3,
    "fixed_list": 48,
    "by_column_inserter": 403,
    "vector_index": 1,
    "vector_search": 2,
    "adbc_integration": 2,
}

SLOW: Final[Mapping[str, str]] = {
    "test_tables.py::test_filters": "isin of up to 10 000 values, which the client builds slowly",
    "test_tables.py::test_list_columns_with_pagination": "64 000 columns, most of it in the client",
}
"""Left to `make test-slow`."""

_VECTORS = "vector indexes are not implemented"
_ADBC = "needs VAST's ADBC driver and the SQL endpoint of a cluster"

NOT_HERE: Final[Mapping[str, str]] = {
    "test_tables.py::test_catalog_select": "reads VAST's built-in catalog of files",
    "test_tables.py::test_catalog_snapshots_select": "reads snapshots of that catalog",
    "test_tables.py::test_audit_log_select": "reads VAST's built-in audit log",
    "test_duckdb.py::test_duckdb": "expects of DuckDB on the client side what 2.0 does not do",
    "test_blob_expansion.py": "VAST skips it; blob expansion is not implemented",
    "test_imports.py": "imports of Parquet files from S3 are not implemented",
    "test_vector_index.py::test_create_table_with_vector_index_basic_metadata[schema_l": _VECTORS,
    "test_vector_index.py::test_create_table_with_vector_index_basic_metadata[schema_ip": _VECTORS,
    "test_vector_index.py::test_create_table_with_invalid_vector_index": _VECTORS,
    "test_vector_index.py::test_vector_index_": _VECTORS,
    "test_vector_search.py::test_sanity": _VECTORS,
    "test_vector_search.py::test_with_predicates": _VECTORS,
    "test_adbc_integration.py::test_sanity": _ADBC,
    "test_adbc_integration.py::test_adbc_": _ADBC,
    "test_adbc_integration.py::test_two_simulatnious_txs_with_adbc": _ADBC,
}
"""Deselected, by the beginning of their names, and why."""


def arguments(address: Sequence[str], *, patient: bool) -> list[str]:
    """The command that runs tests of the package; the `address` is its options for a server.

    A server that is not `patient` has no background work its tests would have to sleep for.
    """
    plugins = [] if patient else ["-p", "tests.vast_local.no_sleep"]
    return [
        *(sys.executable, "-m", "pytest", "-c", os.devnull, "-q"),
        *("-W", "ignore", "-p", "no:cacheprovider"),
        *plugins,
        f"--confcutdir={PACKAGE}",
        f"--rootdir={PACKAGE}",
        *address,
    ]


def selection(suites: Sequence[str], *, without: Sequence[str]) -> list[str]:
    """The arguments that select the tests of files, but for those that begin with a name."""
    return [
        *(f"--deselect=tests/{name}" for name in without),
        *(str(PACKAGE / "tests" / f"test_{suite}.py") for suite in suites),
    ]


def passed(report: Path) -> Counter[str]:
    """How many tests of each file passed, by the JUnit report of a run."""
    cases = ET.parse(report).iter("testcase")
    good = (case for case in cases if not len(case))
    return Counter(case.get("classname", "").rpartition("test_")[2] for case in good)


def start(command: Sequence[str], log: Path, *, root: Path) -> "subprocess.Popen[bytes]":
    """Run a command of `arguments` from the root of the project; its output goes to a file."""
    environ = process_environment()
    paths = [str(PANDAS), *filter(None, [environ.get("PYTHONPATH")])]
    environ["PYTHONPATH"] = os.pathsep.join(paths)
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=root, env=environ, stdout=output, stderr=subprocess.STDOUT
        )
