"""`/notifications` takes every dialect from whoever has the token."""

import json
from base64 import b64encode
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from api import create_listener
from infra.broker.notices import RedisNotices
from schemas.domain.errors import Unavailable
from tasks.ports import Intake
from tests.http import samples
from tests.listener.conftest import taken

TOKEN = "let-me-in"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def listener(intake: Intake) -> FlaskClient:
    return create_listener(intake, TOKEN).test_client()


@pytest.mark.parametrize("dialect", samples.EVERY_DIALECT)
def test_every_dialect_is_taken_at_one_address(
    intake: Intake, listener: FlaskClient, dialect: str
) -> None:
    body = json.dumps(samples.EVERY_DIALECT[dialect])

    response = listener.post(
        "/notifications", data=body, headers={**BEARER, "Content-Type": "text/plain"}
    )  # SNS calls everything plain text

    assert response.status_code == 204
    (found,) = taken(intake)
    assert samples.KEY in found.keys


def basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'tams:{password}'.encode()).decode()}"}


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": TOKEN}, {"Authorization": "Bearer x"}, basic("x"), basic("ä")],
)
def test_without_the_token_nothing_is_taken(
    intake: Intake, listener: FlaskClient, headers: dict[str, str]
) -> None:
    response = listener.post("/notifications", json=samples.AWS, headers=headers)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert taken(intake) == []


def test_the_token_may_be_a_password(intake: Intake, listener: FlaskClient) -> None:
    response = listener.post("/notifications", json=samples.AWS, headers=basic(TOKEN))

    assert response.status_code == 204
    assert len(taken(intake)) == 1


def test_a_store_may_ask_first_whether_it_would_be_heard(listener: FlaskClient) -> None:
    response = listener.head("/notifications")

    assert response.status_code == 204


@pytest.mark.parametrize("body", [b"", b"nonsense", b"{}", b'{"Records": [{}]}'])
def test_what_cannot_be_read_is_kept_and_need_not_come_again(
    intake: Intake, listener: FlaskClient, body: bytes
) -> None:
    response = listener.post("/notifications", data=body, headers=BEARER)

    assert response.status_code == 204
    (dead,) = intake.dead_notices.all()
    assert (dead.body, dead.origin) == (body, "webhook")


def test_what_is_far_too_long_is_refused(listener: FlaskClient) -> None:
    response = listener.post("/notifications", data=b" " * 1_048_577, headers=BEARER)

    assert response.status_code == 413


def test_a_notification_that_cannot_be_made_durable_must_come_again(
    listener: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisNotices, "append", raising(Unavailable("the broker is away")))

    response = listener.post("/notifications", json=samples.AWS, headers=BEARER)

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def raising(error: Exception) -> Callable[..., None]:
    def fails(*_: object) -> None:
        raise error

    return fails
