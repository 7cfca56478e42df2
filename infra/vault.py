"""Secrets that clients entrust to the store, encrypted before the database sees them.

* The first key encrypts, all of them decrypt (`TAMS_SECRET_KEYS`): a key is replaced by putting a
  new one before it, sealing everything anew (`tams init`), and then taking the old one away.
* A key is any long random text; what encrypts is its digest (Fernet: AES-128 and HMAC-SHA256).
* Without a key nothing is kept, rather than kept in the clear.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from schemas.domain.errors import Unavailable


class FernetVault:
    """The `Vault`: texts as tokens of Fernet."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def seal(self, text: str) -> str:
        """`text` as the database may hold it; see `Vault.seal`."""
        return self._all.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """What `seal` made `sealed` of; see `Vault.open`."""
        try:
            return self._all.decrypt(sealed).decode()
        except InvalidToken as error:
            raise Unavailable("a secret was encrypted with a key that is not set now") from error

    def renewed(self, sealed: str) -> str:
        """`sealed` under the first key; see `Vault.renewed`."""
        try:
            self._every[0].decrypt(sealed)
        except InvalidToken:
            return self.seal(self.open(sealed))
        return sealed

    @property
    def _all(self) -> MultiFernet:
        return MultiFernet(self._every)

    @cached_property
    def _every(self) -> list[Fernet]:
        if not self._keys:
            raise Unavailable("secrets cannot be kept, because TAMS_SECRET_KEYS is not set")
        digests = (sha256(key.encode()).digest() for key in self._keys)
        return [Fernet(urlsafe_b64encode(digest)) for digest in digests]
