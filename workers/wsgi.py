"""What the web server loads."""

from api import Options, create_app
from infra.memory import settle
from infra.settings import Settings
from infra.telemetry import configure_logging
from workers.app import connect

configure_logging()
settings = Settings.from_env()
application = create_app(
    connect(),
    Options(
        public_url=settings.api_public_url,
        proxies=settings.api_proxies,
        cors_origins=settings.cors_origins,
    ),
)
settle()
