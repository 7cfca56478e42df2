"""What is said of this service."""

from collections.abc import Mapping
from dataclasses import replace

from schemas.domain.changes import Changes
from schemas.domain.service import ServiceInfo
from tasks.ports import Ports, Snapshot


def get(ports: Ports) -> ServiceInfo:
    """What is said of this service."""
    with ports.metadata.read() as snapshot:
        return snapshot.service() or ServiceInfo()


def update(ports: Ports, said: Mapping[str, str]) -> ServiceInfo:
    """Say `said`, a name or a description or both; what is not in it stays."""

    def decide(snapshot: Snapshot) -> tuple[Changes, ServiceInfo]:
        known = snapshot.service()
        info = replace(known or ServiceInfo(), **said)
        if known is None:
            return Changes(add=(info,), claim=frozenset({"service"})), info
        return Changes(replace=(info,)), info

    return ports.metadata.transact(decide)
