"""The keys of doorbells: one that is there has been rung, and nobody need ring it again."""


def bell(name: str) -> str:
    """The doorbell of some work."""
    return f"tams:ring:{name}"


def bell_of_flush(shard: int, flushers: int) -> str:
    """The doorbell of the flush that attends a shard."""
    return bell(f"flush:{shard % flushers}")
