"""A service that is down is said to be down, by name; it is never an empty list."""

from collections.abc import Mapping

from celery import Celery
from flask.testing import FlaskClient

from api import create_app
from infra.bootstrap import build_ports
from infra.settings import Settings
from tests.making import external, new_id, video
from tests.services.running import Running


def client_of(environ: Mapping[str, str]) -> FlaskClient:
    settings = Settings.from_env(environ)
    return create_app(build_ports(settings, Celery(broker=settings.redis_url))).test_client()


def test_without_the_database_lists_are_503_and_name_it(store: Running, dead: str) -> None:
    client = client_of({**store.environ, "TAMS_VAST_ENDPOINT": f"http://{dead}"})

    for path in (
        *("/service", "/service/profiles", "/flows", "/sources", f"/flows/{new_id()}/label"),
        *(f"/sources/{new_id()}/tags/a", f"/flows/{new_id()}/segments", f"/objects/{new_id()}"),
    ):
        answer = client.get(path)

        assert answer.status_code == 503, path
        assert answer.headers["Retry-After"]
        assert "VAST Database" in answer.json["summary"]
        assert dead in answer.json["summary"]


def test_without_the_broker_nothing_is_accepted_and_everything_is_listed(
    store: Running, dead: str
) -> None:
    whole = client_of(store.environ)
    client = client_of({**store.environ, "TAMS_REDIS_URL": f"redis://{dead}/0"})
    flow = video(new_id())
    path = f"/flows/{flow['id']}/segments"
    assert whole.put(f"/flows/{flow['id']}", json=flow).status_code == 201
    assert whole.post(path, json=external(0, 1_000)).status_code == 201

    for answer in (
        client.post(path, json=external(1_000, 2_000)),
        client.put(f"/flows/{flow['id']}", json={**flow, "label": "others could not be told"}),
    ):
        assert answer.status_code == 503
        assert "message broker" in answer.json["summary"]

    assert [each["timerange"] for each in client.get(path).json] == ["[0:0_1:0)"]


def test_health_says_which_service_is_down(store: Running, dead: str) -> None:
    client = client_of({**store.environ, "TAMS_S3_ENDPOINT": f"http://{dead}"})

    answer = client.get("/health")

    assert answer.status_code == 503
    states = {name: state["status"] for name, state in answer.json["services"].items()}
    assert states == {"vast": "ok", "redis": "ok", "s3": "unavailable"}
    assert dead in answer.json["services"]["s3"]["error"]
