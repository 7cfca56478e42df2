"""Settings of Celery, derived from those of the store.

* A task is acknowledged when it ended, and comes back when its worker died.
* The visibility timeout is above the hard time limit, or a long task would be started twice.
* Results are not kept: jobs have records of their own.
* What somebody may be waiting for is not queued behind what takes long, nor behind receivers of
  events: there are three queues, and a worker for each.
"""

from infra.settings import Settings
from tasks.celery_tasks import STALLS, SWEEP, TIDY
from tasks.ports import Work

settings = Settings.from_env()

broker_url = settings.redis_url
broker_transport_options = {
    "visibility_timeout": 1_200,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "health_check_interval": 10,
    "global_keyprefix": "tams:celery:",
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None

imports = ("tasks.celery_tasks",)
task_default_queue = "interactive"
task_routes = {each.value: {"queue": "events"} for each in (Work.RELAY, Work.DELIVER)} | {
    name: {"queue": "bulk"}
    for name in (
        *(TIDY, STALLS),
        *(each.value for each in (Work.COLLECT, Work.COPY, Work.SCAN, Work.CATCH_UP, Work.ARCHIVE)),
    )
}
task_acks_late = True
task_reject_on_worker_lost = True
task_time_limit = 900
task_soft_time_limit = 840
task_ignore_result = True
task_publish_retry_policy = {"max_retries": 2, "interval_start": 0, "interval_max": 0.2}

worker_concurrency = settings.worker_concurrency
worker_prefetch_multiplier = 2
worker_cancel_long_running_tasks_on_connection_loss = True
worker_soft_shutdown_timeout = 30
worker_hijack_root_logger = False
worker_send_task_events = False

# What waits although nobody rang for it, what a worker that died was doing, what has expired.
beat_schedule = {
    "sweep": {"task": SWEEP, "schedule": 2.0, "options": {"expires": 2.0}},
    "stalls": {"task": STALLS, "schedule": 5.0, "options": {"expires": 5.0}},
    "tidy": {"task": TIDY, "schedule": 60.0, "options": {"expires": 60.0}},
}
beat_schedule_filename = str(settings.data_dir / "beat-schedule")
