"""What its operators say of this service (schema `service-post`)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """Name and description, as far as they are set."""

    name: str | None = None
    description: str | None = None
