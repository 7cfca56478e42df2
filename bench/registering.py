"""Scenarios: registering segments."""

from bench.measures import Figure, Result, percentile
from bench.scripts import Register
from bench.store import Bench, flows_of


def register_one(bench: Bench) -> Result:
    """One segment per POST, eight clients, all into one flow."""
    flow_id = bench.put_flow()
    scripts = [Register(flow_id, lane, 8) for lane in range(8)]
    return _registered(bench, "register-one", scripts)


def register_flows(bench: Bench) -> Result:
    """One segment per POST, eight clients, each into a flow of its own."""
    return _registered(bench, "register-flows", [Register(bench.put_flow()) for _ in range(8)])


def read_your_write(bench: Bench) -> Result:
    """As register-one, and each client reads its segment as soon as it is acknowledged."""
    flow_id = bench.put_flow()
    scripts = [Register(flow_id, lane, 8, read=True) for lane in range(8)]
    return _registered(bench, "read-your-write", scripts)


def register_alone(bench: Bench) -> Result:
    """One segment per POST, one client: how long it takes when nobody shares a commit."""
    done = bench.drive([Register(bench.put_flow())])
    p50 = percentile(done.timing("register"), 0.5) * 1_000
    figure = Figure("register-alone", p50, [bench.floors.insert_ms()])
    return bench.result(done, flows_of(done.scripts), figures=[figure])


def register_100(bench: Bench) -> Result:
    """A hundred segments per POST, four clients, into one flow."""
    return _in_lists(bench, "register-100", 100)


def register_1000(bench: Bench) -> Result:
    """A thousand segments per POST, four clients, into one flow."""
    return _in_lists(bench, "register-1000", 1_000)


def _in_lists(bench: Bench, name: str, per_post: int) -> Result:
    flow_id = bench.put_flow()
    return _registered(bench, name, [Register(flow_id, n, 4, per_post) for n in range(4)])


def _registered(bench: Bench, name: str, scripts: list[Register]) -> Result:
    """Register for a while; the figure counts segments."""
    done = bench.drive(scripts)
    per_post = scripts[0].per_post
    floor = bench.floors.insert(per_post)
    figure = Figure(name, done.rate("register") * per_post, [floor])
    return bench.result(done, flows_of(done.scripts), figures=[figure])
