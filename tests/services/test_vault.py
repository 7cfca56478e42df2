"""Secrets come back as they were, and only to those who have the key."""

import pytest

from infra.vault import FernetVault
from schemas.domain.errors import Unavailable

OLD, NEW = "o" * 32, "n" * 32


def test_a_secret_comes_back_as_it_was():
    sealed = FernetVault([OLD]).seal("Bearer sécret")

    assert FernetVault([OLD]).open(sealed) == "Bearer sécret"


def test_what_is_sealed_tells_nothing():
    vault = FernetVault([OLD])

    assert "secret" not in vault.seal("secret")
    assert vault.seal("secret") != vault.seal("secret")


def test_a_key_is_replaced_without_losing_what_it_sealed():
    sealed = FernetVault([OLD]).seal("secret")

    renewed = FernetVault([NEW, OLD]).renewed(sealed)

    assert FernetVault([NEW, OLD]).open(sealed) == "secret"
    assert FernetVault([NEW]).open(renewed) == "secret"
    assert FernetVault([NEW, OLD]).renewed(renewed) == renewed


def test_without_its_key_a_secret_cannot_be_opened():
    sealed = FernetVault([OLD]).seal("secret")

    with pytest.raises(Unavailable, match="key that is not set"):
        FernetVault([NEW]).open(sealed)


def test_without_any_key_nothing_is_kept():
    with pytest.raises(Unavailable, match="TAMS_SECRET_KEYS"):
        FernetVault([]).seal("secret")
