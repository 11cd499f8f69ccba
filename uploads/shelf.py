"""Where files lie: a folder of this machine, or a bucket of whatever speaks S3, by setting.

Into a bucket they go through us, too: so their size is limited, a workspace's quota holds, and a
file cannot become another one after it was measured. From a bucket vendors fetch them directly.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage

from common.cached import from_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.core.files.storage import Storage

ABANDONED_SECONDS = 6 * 3600
"""A file that nothing was written to for so long arrives no more: its program died."""
SHOWN = re.compile(r"(image/(png|jpeg|webp|gif|avif)|video/[\w.+-]+|audio/[\w.+-]+)", re.I)
"""What a browser plays and never runs; everything else is only saved."""


def is_bucket() -> bool:
    """Whether files lie in a bucket."""
    return bool(settings.UPLOADS_S3_BUCKET)


@from_settings
def _storage() -> Storage:
    if not is_bucket():
        return FileSystemStorage(location=_folder("uploads"), allow_overwrite=True)
    from storages.backends.s3 import S3Storage  # It takes a second, and few installations need it.

    bucket: Storage = S3Storage(
        bucket_name=settings.UPLOADS_S3_BUCKET,
        endpoint_url=settings.UPLOADS_S3_ENDPOINT_URL or None,
        region_name=settings.UPLOADS_S3_REGION or None,
        access_key=settings.UPLOADS_S3_ACCESS_KEY_ID or None,
        secret_key=settings.UPLOADS_S3_SECRET_ACCESS_KEY or None,
        client_config=_patience(),
        location="uploads",
        file_overwrite=True,
        querystring_auth=True,
        default_acl=None,
    )
    return bucket


def _patience() -> Any:
    from botocore.config import Config

    return Config(
        s3={"addressing_style": settings.UPLOADS_S3_ADDRESSING_STYLE},
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=60,
        retries={"total_max_attempts": 2, "mode": "standard"},
    )


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Raise OSError for whatever a bucket says no by."""
    if not is_bucket():
        yield
        return
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as exc:
        raise OSError(f"the bucket failed: {type(exc).__name__}") from exc


def arriving() -> IO[bytes]:
    """Return a new file with a name, for what comes in; it is its maker's to delete."""
    folder = _folder("arriving")
    return tempfile.NamedTemporaryFile(dir=folder, delete=False)


def put_away(arrived: Path) -> None:
    """Delete what arrived, unless it was moved."""
    with suppress(FileNotFoundError):
        arrived.unlink()


def keep(key: str, content_type: str, arrived: Path) -> None:
    """Move what arrived under its key; the same again changes nothing."""
    with arrived.open("rb") as content, _in_our_words():
        _storage().save(key, _Arrived(content, key, content_type, arrived))


class _Arrived(File):  # type: ignore[type-arg]
    """A file that may be moved instead of copied, and says what it is."""

    def __init__(self, content: IO[bytes], key: str, content_type: str, path: Path) -> None:
        super().__init__(content, name=key)
        self.content_type = content_type
        self._path = path

    def temporary_file_path(self) -> str:
        """Return where it is, as Django asks of what it may move."""
        return str(self._path)


def opened(key: str) -> IO[bytes]:
    """Return the file, to be read; raise OSError where it is gone."""
    with _in_our_words():
        found: Any = _storage().open(key, "rb")
    return found  # type: ignore[no-any-return]


def on_the_disk(key: str) -> IO[bytes]:
    """Return the file as one of this machine; one of a bucket is brought, and gone once closed."""
    if not is_bucket():
        return opened(key)
    copy = tempfile.TemporaryFile(dir=_folder("arriving"))  # noqa: SIM115 - its asker closes it
    try:
        with opened(key) as content, _in_our_words():
            shutil.copyfileobj(content, copy, 1 << 20)
        copy.flush()
    except OSError:
        copy.close()
        raise
    return copy


def drop(key: str) -> None:
    """Leave nothing of a file, nor its folder."""
    storage = _storage()
    with suppress(FileNotFoundError), _in_our_words():
        storage.delete(key)
    if isinstance(storage, FileSystemStorage):
        with suppress(OSError):
            Path(storage.path(key)).parent.rmdir()


def folders(within: str) -> list[str]:
    """Return the names of the folders within one; none where it is not there."""
    try:
        with _in_our_words():
            return list(_storage().listdir(within)[0])
    except FileNotFoundError:
        return []


def drop_some(folder: str, most: int) -> int:
    """Delete so many files of a folder; return how many there were.

    A bucket deletes a thousand by one request, and no more.
    """
    storage: Any = _storage()
    if isinstance(storage, FileSystemStorage):
        return _unlink_some(Path(storage.path(folder)), most)
    with _in_our_words():
        prefix = f"{storage.location}/{folder}/"
        found = list(storage.bucket.objects.filter(Prefix=prefix).limit(most))
        if found:
            storage.bucket.delete_objects(
                Delete={"Objects": [{"Key": each.key} for each in found], "Quiet": True}
            )
    return len(found)


def _unlink_some(folder: Path, most: int) -> int:
    files = list(islice(folder.iterdir(), most)) if folder.is_dir() else []
    for file in files:
        file.unlink(missing_ok=True)
    with suppress(OSError):  # There are more.
        folder.rmdir()
    return len(files)


def bucket_address(key: str, content_type: str, seconds: int) -> str:
    """Return the address at which anybody may fetch a file from the bucket, for so long."""
    how = {
        "ResponseContentDisposition": disposition(content_type),
        "ResponseContentType": content_type,
    }
    url: str = _storage().url(key, parameters=how, expire=seconds)  # type: ignore[call-arg]
    return url


def disposition(content_type: str) -> str:
    """Return whether a browser may show it."""
    kind = content_type.partition(";")[0].strip()
    return "inline" if SHOWN.fullmatch(kind) else "attachment"


def digest_of(address: str) -> str:
    """Return what an address is known by."""
    return hashlib.sha256(address.encode(errors="replace")).hexdigest()


def sweep_arriving() -> None:
    """Delete what programs left that died while a file came in."""
    for path in Path(_folder("arriving")).iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _folder(name: str) -> str:
    folder: Path = settings.DATA_DIR / name
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
