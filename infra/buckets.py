"""Making buckets ready for the store, which `tams init` does.

* A bucket that is there already is left as it is, but for our own CORS rule.
* Other CORS rules of a bucket stay; ours is the one called `tams-server`.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from infra.backends import BackendSettings
from infra.s3 import connect, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CORSRuleOutputTypeDef, CORSRuleTypeDef

_RULE_ID: Final = "tams-server"
_NO_RULES: Final = "NoSuchCORSConfiguration"
_IMPLIED_REGION: Final = "us-east-1"  # S3 refuses to be told what it takes for granted

log = logging.getLogger(__name__)


def prepare(backends: Sequence[BackendSettings], origins: Sequence[str]) -> list[str]:
    """Have every backend's bucket be there, and open to web pages from `origins`.

    Returns those that had to be made. An object store that takes no CORS rules is warned of:
    all but browsers can do without.

    Raises:
        Unavailable: when an object store does not answer, or does not make a bucket.
    """
    made = []
    for place in backends:
        client, bucket = connect(place.store, place.store.endpoint), place.backend.bucket
        with translated(place.store):
            if _make(client, bucket, place.store.region):
                made.append(bucket)
            try:
                _allow(client, bucket, origins)
            except ClientError as error:
                log.warning("web pages may not be able to use bucket %s: %s", bucket, error)
    return made


def _make(client: "S3Client", bucket: str, region: str) -> bool:
    """Make `bucket` if it is not there; whether it was made."""
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
    else:
        return False
    if region == _IMPLIED_REGION:
        client.create_bucket(Bucket=bucket)
    else:
        where: Any = {"LocationConstraint": region}  # other stores than Amazon's have their own
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    return True


def _allow(client: "S3Client", bucket: str, origins: Sequence[str]) -> None:
    server = client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    rule: CORSRuleTypeDef = {
        "ID": _RULE_ID,
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedOrigins": _understood(origins, server),
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Length", "Content-Range", "Accept-Ranges"],
        "MaxAgeSeconds": 3600,
    }
    others = [each for each in _rules(client, bucket) if each.get("ID") != _RULE_ID]
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [*others, rule]})


def _rules(client: "S3Client", bucket: str) -> Sequence["CORSRuleOutputTypeDef"]:
    try:
        return client.get_bucket_cors(Bucket=bucket)["CORSRules"]
    except ClientError as error:
        if error.response["Error"]["Code"] != _NO_RULES:
            raise
        return []


def _understood(origins: Sequence[str], server: str) -> list[str]:
    """`origins` as `server` can match them.

    SeaweedFS knows wildcards for subdomains only. It gets `*` in place of any other: what a
    page may do with a bucket is up to the URLs it has been given, not to where it comes from.
    """
    beyond = any("*" in each.replace("://*.", "://") for each in origins)
    return ["*"] if beyond and server.startswith("SeaweedFS") else list(origins)
