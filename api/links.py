"""Absolute URLs of this API, as its clients know it.

* The public URL is the one configured; else the one that the trusted proxies say they were asked
  for; else that of the `Host` header, which HTTP/1.0 may do without.
* A proxy that serves the API below a path takes that path away before it passes a request on.
* What such headers say is percent-encoded, so that it cannot end the URL that it becomes part of.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from flask import Flask, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

from api.options import Options
from schemas.domain.errors import Invalid

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# What may stand in a URL (RFC 3986), and "%", as the parts are encoded already.
_IN_URLS: Final = ":/?#[]@!$&'()*+,;=%"


class PublicUrl:
    """Lets every request seem to have come to one URL."""

    def __init__(self, app: "WSGIApplication", url: str) -> None:
        parts = urlsplit(url)
        self._app = app
        self._environ: Mapping[str, str] = {
            "wsgi.url_scheme": parts.scheme,
            "HTTP_HOST": parts.netloc,
            "SCRIPT_NAME": parts.path.rstrip("/"),
        }

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve the request."""
        return self._app({**environ, **self._environ}, start_response)


def serve_at(app: Flask, options: Options) -> None:
    """Have `absolute` make the URLs that `options` say clients know."""
    if options.public_url is not None:
        app.wsgi_app = PublicUrl(app.wsgi_app, options.public_url)  # type: ignore[method-assign]
    elif count := options.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=count, x_port=count, x_prefix=count
        )
    app.before_request(_require_address)


def absolute(endpoint: str, /, **values: Any) -> str:  # noqa: ANN401 - as `url_for` has it
    """The absolute URL of an endpoint, such as `Jobs.get_job`, with `values` in its path."""
    host = request.host or "{SERVER_NAME}:{SERVER_PORT}".format_map(request.environ)
    path = url_for(endpoint, **values).lstrip("/")  # a prefix might begin with another host
    return quote(f"{request.scheme}://{host}/{path}", safe=_IN_URLS)


def this_page(**changes: str) -> str:
    """The absolute URL of this request with `changes` to its query string."""
    kept = [(name, text) for name, text in request.args.items(multi=True) if name not in changes]
    query = urlencode([*kept, *changes.items()], quote_via=quote)
    return f"{absolute(request.endpoint or '', **(request.view_args or {}))}?{query}"


def _require_address() -> None:
    """Refuse a request that came to what is no address; nobody could be led on from there."""
    if request.scheme not in {"http", "https"}:
        raise Invalid("X-Forwarded-Proto is neither http nor https", field="X-Forwarded-Proto")
    old = request.environ["SERVER_PROTOCOL"] in {"HTTP/1", "HTTP/1.0"}
    if not request.host and (request.environ.get("HTTP_HOST") or not old):
        raise Invalid("the host that the request came to is no host", field="Host")
