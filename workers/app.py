"""The Celery application; ports are built in each child process, after the fork."""

from functools import lru_cache

from celery import Celery

from infra.settings import Settings
from tasks.celery_tasks import Operation
from tasks.ports import Ports

app = Celery("tams")
app.config_from_object("celeryconfig")


@lru_cache
def connect() -> Ports:
    """The ports of this process."""
    from infra.bootstrap import build_ports  # noqa: PLC0415 - beat never needs it

    return build_ports(Settings.from_env(), app)


Operation.connect = staticmethod(connect)
