"""What a client prefers (RFC 7240): to wait for the outcome of a request, how long, or not at all.

* `respond-async` asks not to wait, `wait=N` to wait for at most N seconds; both together mean the
  latter. What then is not done yet is answered with 202 and the address to follow it at.
* A service decides how long it lets anybody wait: N is lowered to `TAMS_MAX_WAIT_S`. What cannot be
  meant is no preference.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, request

from api.context import ports
from api.links import absolute
from api.responses import json_response
from schemas.domain.job import Job
from schemas.http.jobs import job_json

RETRY_AFTER: Final = "1"
_SECONDS: Final = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client prefers; `wait_s` is as much as it is granted."""

    respond_async: bool
    wait_s: int | None

    def __bool__(self) -> bool:
        return self.respond_async or self.wait_s is not None

    def patience_s(self, usual_s: float) -> float:
        """How long to wait for an outcome that is `usual_s` waited for."""
        if self.wait_s is not None:
            return self.wait_s
        return 0 if self.respond_async else usual_s

    def applied(self) -> dict[str, str]:
        """The header that says which preferences were heeded, if there are any."""
        heeded = ["respond-async"] if self.respond_async else []
        if self.wait_s is not None:
            heeded.append(f"wait={self.wait_s}")
        return {"Preference-Applied": ", ".join(heeded)} if heeded else {}


_NONE: Final = Preferences(respond_async=False, wait_s=None)


def preferences() -> Preferences:
    """What the client of this request prefers; of a preference given twice, the first counts."""
    if "Prefer" not in request.headers:
        return _NONE
    given: dict[str, str] = {}
    for part in ",".join(request.headers.getlist("Prefer")).split(","):
        name, _, value = part.split(";")[0].partition("=")
        given.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = given.get("wait", "")
    granted = min(int(wait), ports().limits.max_wait_s) if _SECONDS.fullmatch(wait) else None
    return Preferences("respond-async" in given, granted)


def goes_on(job: Job, preferred: Preferences) -> Response:
    """The answer to a request whose job has not ended."""
    here = absolute("Jobs.get_job", job_id=job.id)
    headers = {"Location": here, "Retry-After": RETRY_AFTER, **preferred.applied()}
    return json_response(job_json(job), 202, headers)


# How the OpenAPI document describes this.
PREFER: Final = {
    "in": "header",
    "name": "Prefer",
    "description": "`respond-async` asks not to wait for the outcome, `wait=N` to wait for it N "
    "seconds at most (RFC 7240).",
    "schema": {"type": "string"},
}
PREFERENCE_APPLIED: Final[dict[str, Any]] = {
    "Preference-Applied": {
        "description": "What was heeded, if anything: `respond-async`, or `wait=N` with the N that "
        "was granted.",
        "schema": {"type": "string"},
    },
}
ASYNC_HEADERS: Final[dict[str, Any]] = {
    "Location": {
        "description": "The job to follow, as an absolute URL.",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
    "Retry-After": {
        "description": "Seconds to wait before looking at it.",
        "required": True,
        "schema": {"type": "integer"},
    },
    **PREFERENCE_APPLIED,
}
