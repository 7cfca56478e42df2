"""VAST Database through its SDK: one code path for a cluster and for the local server."""

import sys

# The SDK imports ADBC, and that pandas where it is installed (for development): seconds of each
# process, for something nobody here uses.
sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]  # None makes an import fail
