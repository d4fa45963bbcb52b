"""Sessions of other libraries are none of SQLAlchemy's; boto3's has nothing to close."""

import boto3
import requests


def mirror(url: str) -> int:
    with requests.Session() as session:
        answer = session.get(url, timeout=5)
    cloud = boto3.Session()
    cloud.client("s3").put_object(Bucket="mirror", Key=url, Body=answer.content)
    return answer.status_code
