"""Storage backends and their labels."""

from dataclasses import replace

from schemas.domain.identifiers import StorageId
from schemas.domain.storage import Advertised, StorageBackend, backend_labels

BACKEND = StorageBackend(
    id=StorageId("30000000-0000-4000-8000-000000000001"),
    label="",
    bucket="media",
    region="here",
    provider="ours",
    product="s3",
    urls=(Advertised(True, ""),),
)


def test_labels_are_those_of_backends_and_of_all_their_urls() -> None:
    urls = (Advertised(True, "main"), Advertised(False, "main-plain"))
    main = replace(BACKEND, label="main", urls=urls)
    cold = replace(BACKEND, label="cold", urls=(Advertised(False, "cold-plain"),))

    assert backend_labels([main, cold]) == {"main", "main-plain", "cold", "cold-plain"}


def test_a_backend_without_a_label_takes_none() -> None:
    assert backend_labels([BACKEND]) == set()


def test_a_backend_advertises_the_kinds_of_url_it_has() -> None:
    assert BACKEND.advertises(presigned=True)
    assert not BACKEND.advertises(presigned=False)
