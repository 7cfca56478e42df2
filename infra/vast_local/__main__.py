"""Run the local server from a command line."""

import argparse
import logging
import sys
from pathlib import Path

from infra.vast_local import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, CannotStart, serve


def main() -> int:
    """Serve until stopped; 1 when the server cannot start."""
    parser = argparse.ArgumentParser(prog="vast-local", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9090, help="0 takes a free one")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--bucket", action="append", default=[], help="may be repeated")
    parser.add_argument("--access-key", default=DEFAULT_ACCESS_KEY)
    parser.add_argument("--secret-key", default=DEFAULT_SECRET_KEY)
    parser.add_argument("--chaos", default="", metavar="SPEC", help="trouble, as in chaos.py")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        serve(
            host=options.host,
            port=options.port,
            data_dir=options.data_dir,
            buckets=options.bucket,
            access_key=options.access_key,
            secret_key=options.secret_key,
            chaos=options.chaos,
            ready=_announce,
        )
    except CannotStart as error:
        sys.stderr.write(f"vast-local: {error}\n")
        return 1
    return 0


def _announce(port: int) -> None:
    sys.stdout.write(f"listening on port {port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
