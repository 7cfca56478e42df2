"""What the API is told about the world it is served to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How clients reach the API, and from which web pages.

    `public_url` is the address they know, if it is fixed; otherwise the headers of the last
    `proxies` proxies tell it. `cors_origins` are origins as browsers write them, with `*` for any
    subdomain or port; `*` alone is any origin.
    """

    public_url: str | None = None
    proxies: int = 1
    cors_origins: tuple[str, ...] = ()
