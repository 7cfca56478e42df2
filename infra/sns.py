"""The `Subscriptions`: topics of AWS SNS, confirmed over HTTPS."""

from collections.abc import Collection

import httpx

from schemas.domain.errors import Invalid, Unavailable

_TIMEOUT_S = 10.0


class SnsSubscriptions:
    """Confirms the topics that are wanted; redirections are not followed."""

    def __init__(
        self, wanted: Collection[str], transport: httpx.BaseTransport | None = None
    ) -> None:
        """`wanted` are ARNs of topics."""
        self._wanted = frozenset(wanted)
        self._transport = transport

    @property
    def wanted(self) -> Collection[str]:
        """The ARNs of the topics that the operator allows."""
        return self._wanted

    def confirm(self, url: str) -> None:
        """Open `url`, which holds a secret token that no error repeats.

        Raises:
            Invalid: when SNS refuses it, as it does when the token is too old.
            Unavailable: when it does not answer as it should.
        """
        try:
            with httpx.Client(transport=self._transport, timeout=_TIMEOUT_S) as client:
                response = client.get(url)
        except httpx.HTTPError as error:
            raise Unavailable(f"SNS does not answer: {type(error).__name__}") from error
        if response.is_client_error:
            raise Invalid(f"SNS refuses the confirmation with status {response.status_code}")
        if not response.is_success:
            raise Unavailable(f"SNS answers the confirmation with {response.status_code}")
