"""What the web server loads."""

from api import create_app
from infra.telemetry import configure_logging
from workers.app import connect

configure_logging()
application = create_app(connect())
