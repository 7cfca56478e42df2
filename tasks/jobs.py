"""Following jobs."""

from schemas.domain.errors import JobNotFound, Unavailable
from schemas.domain.identifiers import JobId
from schemas.domain.job import Job
from tasks.ports import Ports


def get(ports: Ports, job_id: JobId) -> Job:
    """The job as it is now.

    Raises:
        JobNotFound: when there is no such job.
    """
    job = ports.jobs.get(job_id)
    if job is None:
        raise JobNotFound(f"job {job_id} does not exist, or ended more than a day ago")
    return job


def outcome(ports: Ports, job_id: JobId) -> Job:
    """The job once it ended.

    Raises:
        Unavailable: when it did not end in time; it still may, and asking again does no harm.
    """
    job = ports.jobs.wait(job_id, ports.limits.reply_timeout_s)
    if job is None:
        raise Unavailable(
            f"no worker finished within {ports.limits.reply_timeout_s} s; the request may still "
            f"succeed (job {job_id}), and repeating it is safe"
        )
    return job
