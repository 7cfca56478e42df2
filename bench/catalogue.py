"""The scenarios by name, in the order in which they are run."""

from collections.abc import Mapping

from bench import listing, registering
from bench.store import Scenario

SCENARIOS: Mapping[str, Scenario] = {
    "register-one": registering.register_one,
    "register-flows": registering.register_flows,
    "read-your-write": registering.read_your_write,
    "register-alone": registering.register_alone,
    "register-100": registering.register_100,
    "register-1000": registering.register_1000,
    "list": listing.list_spans,
    "list-urls": listing.list_urls,
    "page": listing.page,
}
