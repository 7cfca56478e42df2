"""The scenarios by name, in the order in which they are run."""

from collections.abc import Mapping

from bench import contending, deleting, dropping, growing, listing, registering
from bench.store import Scenario

SCENARIOS: Mapping[str, Scenario] = {
    "grow": growing.grow,
    "register-one": registering.register_one,
    "register-flows": registering.register_flows,
    "read-your-write": registering.read_your_write,
    "register-alone": registering.register_alone,
    "register-100": registering.register_100,
    "register-1000": registering.register_1000,
    "list": listing.list_spans,
    "list-urls": listing.list_urls,
    "page": listing.page,
    "mixed": contending.mixed,
    "drop": dropping.drop,
    "race": contending.race,
    "page-drift": contending.page_drift,
    "delete": deleting.delete,
    "many-flows": growing.many_flows,
}
