"""`/service/webhooks`: who is told of events (testing, history and replay are extensions)."""

from datetime import datetime
from typing import Any, Final

from flask import Response

from api.blueprint import Blueprint
from api.context import PRINCIPAL, ports
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.responses import empty_response, json_response
from schemas.domain.identifiers import WebhookId
from schemas.domain.query import WebhookQuery
from schemas.domain.webhook import Terms
from schemas.http.queries import WebhookQuerySchema
from schemas.http.webhooks import (
    DeliverySchema,
    ReplaySchema,
    WebhookPostSchema,
    WebhookPutSchema,
    WebhookSchema,
    delivery_json,
    webhook_json,
)
from tasks import deliveries, webhooks

blueprint = Blueprint("Webhooks", __name__, description="Who is told of events.")

_ONE: Final = "/service/webhooks/<id:webhook_id>"


@blueprint.route("/service/webhooks")
@blueprint.arguments(WebhookQuerySchema, location="query")
@blueprint.response(200, WebhookSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_webhooks", 400, 503)
def list_webhooks(query: WebhookQuery) -> Response:
    """List webhooks, by URL."""
    page = webhooks.listing(ports(), query)
    return json_response(
        [webhook_json(webhook) for webhook in page.items],
        headers=paging_headers(page, reverse_order=query.listing.reverse_order),
    )


@blueprint.route("/service/webhooks", methods=["POST"])
@blueprint.arguments(WebhookPostSchema)
@blueprint.response(201, WebhookSchema, description="The webhook has been registered.")
@blueprint.operation("POST_webhooks", 400, 503)
def post_webhook(terms: Terms) -> Response:
    """Register a webhook.

    It is told of what happens from now on.
    """
    return json_response(webhook_json(webhooks.create(ports(), terms, by=PRINCIPAL)), 201)


@blueprint.route(_ONE)
@blueprint.response(200, WebhookSchema)
@blueprint.operation("GET_webhooks-webhookId", 404, 503)
def get_webhook(webhook_id: WebhookId) -> Response:
    """Describe one webhook."""
    return json_response(webhook_json(webhooks.get(ports(), webhook_id)))


@blueprint.route(_ONE, methods=["PUT"])
@blueprint.arguments(WebhookPutSchema)
@blueprint.response(201, WebhookSchema, description="The webhook has been changed.")
@blueprint.operation("PUT_webhooks", 400, 403, 404, 503)
def put_webhook(terms: Terms, webhook_id: WebhookId) -> Response:
    """Change a webhook, enable or disable it.

    Keys that are not given stay, unless the URL is now that of another server.
    """
    changed = webhooks.change(ports(), webhook_id, terms, by=PRINCIPAL)
    return json_response(webhook_json(changed), 201)


@blueprint.route(_ONE, methods=["DELETE"])
@blueprint.response(204, description="The webhook is deleted.")
@blueprint.operation("DELETE_webhooks-webhookId", 403, 404, 503)
def delete_webhook(webhook_id: WebhookId) -> Response:
    """Delete a webhook."""
    webhooks.delete(ports(), webhook_id, by=PRINCIPAL)
    return empty_response(204)


@blueprint.route(f"{_ONE}/test", methods=["POST"])
@blueprint.response(200, DeliverySchema, description="What came of it.")
@blueprint.operation("POST_webhooks-webhookId-test", 400, 403, 404, 503)
def post_test(webhook_id: WebhookId) -> Response:
    """Send something to a webhook, of the type `webhooks/test`, and say what came of it.

    It is sent whether the webhook is enabled or not, and changes nothing.
    """
    tried = deliveries.test(ports(), webhook_id, by=PRINCIPAL)
    return json_response(delivery_json(tried))


@blueprint.route(f"{_ONE}/deliveries")
@blueprint.response(200, DeliverySchema(many=True))
@blueprint.operation("GET_webhooks-webhookId-deliveries", 404, 503)
def list_deliveries(webhook_id: WebhookId) -> Response:
    """List what was sent to a webhook last, up to a hundred tries, the latest first."""
    return json_response([delivery_json(each) for each in deliveries.recent(ports(), webhook_id)])


@blueprint.route(f"{_ONE}/replay", methods=["POST"])
@blueprint.arguments(ReplaySchema)
@blueprint.response(202, WebhookSchema, description="The events will be sent.")
@blueprint.operation("POST_webhooks-webhookId-replay", 400, 403, 404, 503)
def post_replay(wanted: dict[str, Any], webhook_id: WebhookId) -> Response:
    """Send a webhook again what occurred from some time on, as far as that is kept."""
    since: datetime = wanted["since"]
    webhook = webhooks.replay(ports(), webhook_id, since, by=PRINCIPAL)
    return json_response(webhook_json(webhook), 202)
