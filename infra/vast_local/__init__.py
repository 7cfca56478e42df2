"""A local server that speaks VAST Database's wire protocol over DuckDB.

* It stands alone: nothing of the project is imported, no client library either.
* ``serve`` runs it; ``python -m infra.vast_local`` does the same from a command line.
"""

from infra.vast_local.errors import CannotStart
from infra.vast_local.server import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, serve

__all__ = ["DEFAULT_ACCESS_KEY", "DEFAULT_SECRET_KEY", "CannotStart", "serve"]
