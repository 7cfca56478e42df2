"""Logging: one line per event on standard error, the same in every process."""

import logging
import sys

# The SDK logs every failed request and every rollback with a traceback; what matters of them
# is raised as our own errors.
_RAISED = ("vastdb", "httpx", "botocore", "urllib3")

# Celery tells of every task received and done, and of every tick.
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace", "celery.beat", "celery.worker.request")


def configure_logging(level: int = logging.INFO) -> None:
    """Send log lines of this process to standard error."""
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
        force=True,
    )
    for name in _RAISED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
