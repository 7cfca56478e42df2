"""Messages in the shape each store sends them, made up for these tests.

Each tells that `KEY` came to be in the bucket `media`, unless its name says otherwise.
"""

import json
from typing import Any

KEY = "drop/ä b+c%41.ts"
ENCODED = "drop%2F%C3%A4+b%2Bc%2541.ts"
ETAG = "0bbc18cdea1c4aaa17777d441214774a"
VERSION = "096fKKXTRTtl3on89fVO.nfljtsv6qko"

AWS: dict[str, Any] = {
    "Records": [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-west-1",
            "eventTime": "2026-05-04T10:11:12.345Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
            "requestParameters": {"sourceIPAddress": "192.0.2.7"},
            "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURI"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "to-tams",
                "bucket": {
                    "name": "media",
                    "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                    "arn": "arn:aws:s3:::media",
                },
                "object": {
                    "key": "drop/%C3%A4+b%2Bc%2541.ts",
                    "size": 1024,
                    "eTag": ETAG,
                    "versionId": VERSION,
                    "sequencer": "0055AED6DCD90281E5",
                },
            },
        }
    ]
}

AWS_REMOVED: dict[str, Any] = {
    "Records": [
        {
            **AWS["Records"][0],
            "eventName": "ObjectRemoved:Delete",
            "s3": {
                **AWS["Records"][0]["s3"],
                "object": {"key": "drop/gone.ts", "sequencer": "0055AED6DCD90281E6"},
            },
        }
    ]
}

AWS_TEST = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-05-04T10:00:00.000Z",
    "Bucket": "media",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
}

TOPIC = "arn:aws:sns:eu-west-1:123456789012:media"


def in_sns(message: object) -> dict[str, Any]:
    """`message` as SNS delivers it, unless it was told to deliver raw."""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "Amazon S3 Notification",
        "Message": json.dumps(message),
        "Timestamp": "2026-05-04T10:11:13.001Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLEw6JRN=",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    }


CONFIRM_URL = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f"

SNS_CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
    "Token": "2336412f",
    "TopicArn": TOPIC,
    "Message": f"You have chosen to subscribe to the topic {TOPIC}.",
    "SubscribeURL": CONFIRM_URL,
    "Timestamp": "2026-05-04T09:00:00.000Z",
    "SignatureVersion": "1",
    "Signature": "EXAMPLEpH+DcE=",
    "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
}

EVENTBRIDGE: dict[str, Any] = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "123456789012",
    "time": "2026-05-04T10:11:12Z",
    "region": "eu-west-1",
    "resources": ["arn:aws:s3:::media"],
    "detail": {
        "version": "0",
        "bucket": {"name": "media"},
        "object": {
            "key": KEY,
            "size": 1024,
            "etag": ETAG,
            "version-id": VERSION,
            "sequencer": "0055AED6DCD90281E5",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "192.0.2.7",
        "reason": "PutObject",
    },
}

VAST: dict[str, Any] = {
    "Records": [
        {
            "eventVersion": "2.2",
            "eventSource": "vast:s3",
            "awsRegion": "",
            "eventTime": "2026-05-04T10:11:12.345Z",
            "eventName": "s3:ObjectCreated:Put",
            "userIdentity": {"principalId": "encoder"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "to-tams",
                "bucket": {"name": "media", "arn": "arn:aws:s3:::media"},
                "object": {
                    "key": ENCODED,
                    "size": "1024",
                    "eTag": ETAG,
                    "sequencer": "0000018F43A2",
                },
            },
        }
    ]
}

_MINIO_RECORD: dict[str, Any] = {
    "eventVersion": "2.0",
    "eventSource": "minio:s3",
    "awsRegion": "",
    "eventTime": "2026-05-04T10:11:12.345Z",
    "eventName": "s3:ObjectCreated:Put",
    "userIdentity": {"principalId": "encoder"},
    "requestParameters": {"principalId": "encoder", "region": "", "sourceIPAddress": "192.0.2.7"},
    "responseElements": {"x-amz-request-id": "17A3F9B0E4C2", "x-minio-deployment-id": "6faeded5"},
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "Config",
        "bucket": {
            "name": "media",
            "ownerIdentity": {"principalId": "encoder"},
            "arn": "arn:aws:s3:::media",
        },
        "object": {
            "key": ENCODED,
            "size": 1024,
            "eTag": ETAG,
            "contentType": "video/mp2t",
            "userMetadata": {"content-type": "video/mp2t", "X-Amz-Meta-Tams-Flow-Id": "f1"},
            "sequencer": "18AC6C5FD7D34A80",
        },
    },
    "source": {"host": "192.0.2.7", "port": "", "userAgent": "MinIO (linux; amd64)"},
}

MINIO: dict[str, Any] = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": f"media/{KEY}",
    "Records": [_MINIO_RECORD],
}
MINIO_REDIS_NAMESPACE = {"Records": [_MINIO_RECORD]}
MINIO_REDIS_ACCESS: list[Any] = ["2026-05-04T10:11:12.345Z", [_MINIO_RECORD]]
MINIO_REDIS_ACCESS_NAMED = [{"Event": [_MINIO_RECORD], "EventTime": "2026-05-04T10:11:12.345Z"}]

CEPH: dict[str, Any] = {
    "Records": [
        {
            "eventVersion": "2.1",
            "eventSource": "ceph:s3",
            "awsRegion": "zonegroup1",
            "eventTime": "2026-05-04T10:11:12.345678Z",
            "eventName": "ObjectCreated:CompleteMultipartUpload",
            "userIdentity": {"principalId": "encoder"},
            "requestParameters": {"sourceIPAddress": ""},
            "responseElements": {"x-amz-request-id": "503a4c37", "x-amz-id-2": "14d2-zone1"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "to-tams",
                "bucket": {
                    "name": "media",
                    "ownerIdentity": {"principalId": "encoder"},
                    "arn": "arn:aws:s3:zonegroup1::media",
                    "id": "503a4c37-85eb-47cd-8681-2817e80b4281.5330.903595",
                },
                "object": {
                    "key": KEY,
                    "size": "1024",
                    "eTag": f"{ETAG}-2",
                    "versionId": "",
                    "sequencer": "C070F8694E559A14",
                    "metadata": [{"key": "x-amz-meta-tams-flow-id", "val": "f1"}],
                    "tags": [],
                },
            },
            "eventId": "",
            "opaqueData": "",
        }
    ]
}

RUSTFS: dict[str, Any] = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": f"media/{KEY}",
    "Records": [{**_MINIO_RECORD, "eventSource": "rustfs:s3"}],
}

SEAWEEDFS: dict[str, Any] = {
    "event_type": "create",
    "key": f"/buckets/media/{KEY}",
    "message": {
        "new_entry": {
            "name": KEY.rpartition("/")[2],
            "chunks": [
                {
                    "size": 1024,
                    "modified_ts_ns": 1777889472345678900,
                    "e_tag": "C7wYzeocSqoXd31EEhR3Sg==",
                    "fid": {"volume_id": 1, "file_key": 1, "cookie": 2743784450},
                }
            ],
            "attributes": {
                "file_size": 1024,
                "mtime": 1777889472,
                "file_mode": 432,
                "crtime": 1777889472,
                "mime": "video/mp2t",
                "md5": "C7wYzeocSqoXd31EEhR3Sg==",
                "inode": 1850525192132468625,
            },
            "extended": {
                "Seaweed-X-Amz-ETag": "MGJiYzE4Y2RlYTFjNGFhYTE3Nzc3ZDQ0MTIxNDc3NGE=",
                "X-Amz-Meta-Tams-Flow-Id": "ZjE=",
            },
        },
        "delete_chunks": True,
        "new_parent_path": "/buckets/media/drop",
        "signatures": [-1745414446],
    },
}

SEAWEEDFS_DELETE: dict[str, Any] = {
    "event_type": "delete",
    "key": f"/buckets/media/{KEY}",
    "message": {
        "old_entry": SEAWEEDFS["message"]["new_entry"],
        "delete_chunks": True,
        "signatures": [-1745414446],
    },
}

EVERY_DIALECT = {
    "aws": AWS,
    "sns": in_sns(AWS),
    "eventbridge": EVENTBRIDGE,
    "eventbridge in sns": in_sns(EVENTBRIDGE),
    "vast": VAST,
    "minio": MINIO,
    "minio redis namespace": MINIO_REDIS_NAMESPACE,
    "minio redis access": MINIO_REDIS_ACCESS,
    "minio redis access, with names": MINIO_REDIS_ACCESS_NAMED,
    "ceph": CEPH,
    "rustfs": RUSTFS,
    "seaweedfs": SEAWEEDFS,
}
