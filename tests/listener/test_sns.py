"""A topic of SNS is confirmed when the operator named it, and no other."""

import json
import logging
from dataclasses import replace
from typing import Any

import httpx
import pytest

from infra.sns import SnsSubscriptions
from schemas.domain.errors import Unavailable
from tasks import notices
from tasks.ports import Intake
from tests.http import samples


class Sns:
    """What answers in the place of SNS."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.opened: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.opened.append(str(request.url))
        headers = {"Location": "http://127.0.0.1/"} if self.status == 302 else {}
        return httpx.Response(self.status, headers=headers)


def confirm(intake: Intake, sns: Sns, *wanted: str, **changes: Any) -> None:
    subscriptions = SnsSubscriptions(wanted, httpx.MockTransport(sns))
    listening = replace(intake, subscriptions=subscriptions)  # type: ignore[type-var]
    notices.take(listening, json.dumps({**samples.SNS_CONFIRMATION, **changes}).encode(), "webhook")


def dead(intake: Intake) -> list[str]:
    return [each.reason for each in intake.dead_notices.all()]


def test_a_topic_that_is_wanted_is_confirmed(intake: Intake) -> None:
    sns = Sns()

    confirm(intake, sns, "arn:aws:sns:eu-west-1:123456789012:other", samples.TOPIC)

    assert sns.opened == [samples.CONFIRM_URL]
    assert dead(intake) == []


def test_how_to_confirm_any_other_topic_is_logged(
    intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    sns = Sns()

    with caplog.at_level(logging.WARNING):
        confirm(intake, sns)

    assert sns.opened == []
    assert samples.TOPIC in caplog.text
    assert samples.CONFIRM_URL in caplog.text


def test_an_address_that_is_not_of_sns_is_never_opened(
    intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    sns = Sns()
    url = samples.CONFIRM_URL.replace("sns.eu-west-1.amazonaws.com", "metadata.example")

    confirm(intake, sns, samples.TOPIC, SubscribeURL=url)

    assert sns.opened == []
    assert dead(intake) == ["SubscribeURL does not confirm this topic of SNS"]


def test_a_refused_confirmation_is_kept_with_its_reason(intake: Intake) -> None:
    confirm(intake, Sns(403), samples.TOPIC)

    (reason,) = dead(intake)
    assert "status 403" in reason
    assert "2336412f" not in reason  # the token


@pytest.mark.parametrize("status", [500, 302])
def test_a_confirmation_that_fails_for_now_must_come_again(intake: Intake, status: int) -> None:
    sns = Sns(status)

    with pytest.raises(Unavailable, match=str(status)):
        confirm(intake, sns, samples.TOPIC)

    assert len(sns.opened) == 1
    assert dead(intake) == []
