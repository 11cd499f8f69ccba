"""What tests and checks run on: a PostgreSQL to throw away, and settings that are nobody's."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from local import prepared
from local.postgres import Cluster

DATABASE = "comfy"
NOT_A_DATABASE = "postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=1"


class Scratch:
    """A folder with a PostgreSQL in it that forgets everything, both gone after `close`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="comfy-test-"))
        self.cluster: Cluster | None = None

    def database_url(self) -> str:
        """Return the address of an empty database; the server starts when it is first asked for.

        A migrated one lies beside it: `TEMPLATE_DATABASE` names it, if it could be made.
        """
        if self.cluster is None:
            if prepared.copy_to(self.folder / "pg"):
                os.environ.setdefault("TEMPLATE_DATABASE", prepared.DATABASE)
            self.cluster = Cluster(self.folder / "pg", durable=False)
            self.cluster.start()
            self.cluster.create_database(DATABASE)
        return self.cluster.url(DATABASE)

    def close(self) -> None:
        """End the server and remove the folder; doing so again does nothing."""
        if self.cluster is not None:
            self.cluster.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def set_placeholders(data: Path) -> None:
    """Give every setting that must have a value one, where the caller's environment has none."""
    for name, value in {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "test-only-" + "0123456789" * 5,
        "KEY_PEPPERS": '{"1":"' + "5a" * 32 + '"}',
        "VENDOR_BASE_URL": "http://127.0.0.1:9/{vendor}",
        "VENDOR_BFL_KEY": "test",
        "DATA_DIR": str(data),
        "SANDBOX_OPERATIONS": "1",
        "ALLOWED_HOSTS": "*",
        "GOOGLE_CLIENT_ID": "google-test",
        "GOOGLE_CLIENT_SECRET": "google-test",
        "GITHUB_CLIENT_ID": "github-test",
        "GITHUB_CLIENT_SECRET": "github-test",
        "CONCURRENCY_TIERS": "",  # Tests of other things call as often as they like.
    }.items():
        os.environ.setdefault(name, value)
