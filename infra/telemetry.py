"""Logging: one line per event on standard error, the same in every process."""

import logging
import sys

# The SDK logs every failed request and every rollback with a traceback; what matters of them
# is raised as our own errors.
_TALKATIVE = ("vastdb", "httpx", "botocore", "urllib3")


def configure_logging(level: int = logging.INFO) -> None:
    """Send log lines of this process to standard error."""
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
        force=True,
    )
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
