"""Files in a bucket, at a server that speaks S3 and that none of us wrote."""

import asyncio
import re
import uuid

import pytest
from proxy_stage import in_thread
from test_storage_door import PNG, offered, on_disk, put, used

from uploads import places

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(settings):
    # Here: they take half a second, which a run that leaves these tests out does not have.
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings.UPLOADS_S3_ENDPOINT_URL = f"http://{host}:{port}"
    settings.UPLOADS_S3_BUCKET = name = f"files-{uuid.uuid4().hex}"
    settings.UPLOADS_S3_REGION = "us-east-1"
    settings.UPLOADS_S3_ACCESS_KEY_ID = settings.UPLOADS_S3_SECRET_ACCESS_KEY = "bucket-secret"
    settings.UPLOADS_S3_ADDRESSING_STYLE = "path"
    client = boto3.client(
        "s3", endpoint_url=settings.UPLOADS_S3_ENDPOINT_URL, region_name="us-east-1",
        aws_access_key_id="bucket-secret", aws_secret_access_key="bucket-secret",
    )  # fmt: skip
    client.create_bucket(Bucket=name)
    yield client, name
    client.close()
    server.stop()


def keys(bucket):
    client, name = bucket
    return [each["Key"] for each in client.list_objects_v2(Bucket=name).get("Contents", [])]


async def test_a_file_goes_through_us_into_the_bucket_and_is_fetched_there(stage, bucket, settings):
    member = await stage.member(0)
    made = await offered(stage, member, content_type="image/png")

    assert (await put(stage, made, PNG)).status == 200

    assert made["upload_url"].startswith(stage.url)
    assert made["download_url"].startswith(settings.UPLOADS_S3_ENDPOINT_URL)
    assert re.search(r"/a\.png\?", made["download_url"])
    assert "bucket-secret" not in made["download_url"].replace("Credential=bucket-secret", "")
    answer = await stage.get(made["download_url"])
    assert (answer.status, answer.body) == (200, PNG)
    assert answer.headers["content-type"] == "image/png"
    assert on_disk(settings) == []
    assert await in_thread(lambda: len(keys(bucket))) == 1


async def test_another_content_and_what_is_over_are_as_on_disk(stage, bucket):
    member = await stage.member(0)
    made = await offered(stage, member, content_type="text/html")
    await asyncio.gather(*(put(stage, made, PNG) for _ in range(3)))

    assert (await put(stage, made, b"<p>")).status == 403
    head = await in_thread(lambda: bucket[0].head_object(Bucket=bucket[1], Key=keys(bucket)[0]))
    assert (head["ContentLength"], head["ContentType"]) == (len(PNG), "text/html")
    shown = await stage.get(made["download_url"])
    assert shown.headers["content-disposition"] == "attachment"

    assert await in_thread(lambda: places.forget(member.workspace)) == 1
    assert await in_thread(lambda: keys(bucket)) == []


async def test_a_bucket_that_is_away_is_told_and_the_file_may_come_again(stage, bucket, settings):
    member = await stage.member(0)
    made = await offered(stage, member)
    where = settings.UPLOADS_S3_ENDPOINT_URL
    settings.UPLOADS_S3_ENDPOINT_URL = "http://127.0.0.1:9"

    answer = await put(stage, made, PNG)

    assert (answer.status, answer.type) == (503, "service_unavailable")
    settings.UPLOADS_S3_ENDPOINT_URL = where
    assert (await put(stage, made, PNG)).status == 200
    assert await used(member) == (len(PNG), 1)
    assert on_disk(settings) == []
