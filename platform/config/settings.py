"""Settings: one file. What differs between machines comes from the environment, typed, or fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parents[2]


class Environment(BaseSettings):
    """The environment variables we read; `.env.example` lists them with their meaning."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    database_url: str
    secret_key: str = Field(min_length=32)
    key_peppers: dict[int, str]
    """Version -> hex of at least 32 bytes. The highest version makes new digests."""
    debug: bool = False
    allowed_hosts: Annotated[list[str], NoDecode] = ["localhost", "127.0.0.1", "[::1]"]
    public_url: str = ""
    """Where clients reach us, like https://credits.example.org; empty: the request's own Host."""
    data_dir: Path = BASE_DIR / ".data"
    celery_broker_url: str = "memory://"
    celery_broker_options: dict[str, Any] = {}
    vendor_base_url: str = ""
    """A template with {vendor} that replaces every vendor's own address (sandbox, mirror)."""
    sandbox_operations: bool = False
    """Whether the sandbox's own operations can be called beside the real vendors'."""
    json_body_limit_bytes: int = Field(default=32 << 20, gt=0)
    stream_body_limit_bytes: int = Field(default=512 << 20, gt=0)
    body_memory_bytes: int = Field(default=512 << 20, gt=0)
    """What all request bodies held in the memory of one web process may take together."""
    metrics_token: str = ""
    """If set, GET /metrics needs `Authorization: Bearer <token>`."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("key_peppers")
    @classmethod
    def _long_enough(cls, value: dict[int, str]) -> dict[int, str]:
        if not value or any(len(bytes.fromhex(pepper)) < 32 for pepper in value.values()):
            raise ValueError("needs at least one version, each of 32 bytes or more in hex")
        return value


env = Environment()  # type: ignore[call-arg]  # The environment gives them.

SECRET_KEY = env.secret_key
DEBUG = env.debug
ALLOWED_HOSTS = env.allowed_hosts
PUBLIC_URL = env.public_url.rstrip("/")
DATA_DIR = env.data_dir

INSTALLED_APPS = [
    "config",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "credits",
    "accounts",
    "apikeys",
    "usage",
    "proxy",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "config.urls"
APPEND_SLASH = False
SECURE_CONTENT_TYPE_NOSNIFF = True

_database = conninfo_to_dict(env.database_url)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.pop("dbname", ""),
        "USER": _database.pop("user", ""),
        "PASSWORD": _database.pop("password", ""),
        "HOST": _database.pop("host", ""),
        "PORT": _database.pop("port", ""),
        "OPTIONS": {**_database, "pool": {"min_size": 0, "max_size": 16, "timeout": 10}},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
USE_TZ = True
TIME_ZONE = "UTC"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apikeys.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.drf.LenientJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "common.drf.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Credits for ComfyUI's API nodes",
    "VERSION": "0.1.0",
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
}

# The browser calls from wherever a ComfyUI runs, with a header and never a cookie (contract 2.6).
CORS_ALLOW_ALL_ORIGINS = True
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = ["authorization", "x-api-key", "content-type", "comfy-env"]
CORS_ALLOW_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CORS_EXPOSE_HEADERS = ["X-Capability-Revision", "Retry-After"]

CELERY_BROKER_URL = env.celery_broker_url
CELERY_BROKER_TRANSPORT_OPTIONS = env.celery_broker_options
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "heartbeat": {"task": "proxy.tasks.heartbeat", "schedule": 5, "options": {"expires": 10}},
    "follow-jobs": {"task": "proxy.tasks.follow_jobs", "schedule": 2, "options": {"expires": 4}},
    "sweep-holds": {"task": "proxy.tasks.sweep_holds", "schedule": 10, "options": {"expires": 20}},
    "forget-answers": {"task": "proxy.tasks.forget", "schedule": 300, "options": {"expires": 300}},
    "make-partitions": {"task": "usage.tasks.make_partitions", "schedule": 3600},
}

KEY_PEPPERS = {version: bytes.fromhex(pepper) for version, pepper in env.key_peppers.items()}
VENDOR_BASE_URL = env.vendor_base_url
VENDOR_SETTINGS = {name: value for name, value in os.environ.items() if name.startswith("VENDOR_")}
SANDBOX_OPERATIONS = env.sandbox_operations
JSON_BODY_LIMIT_BYTES = env.json_body_limit_bytes
STREAM_BODY_LIMIT_BYTES = env.stream_body_limit_bytes
BODY_MEMORY_BYTES = env.body_memory_bytes
METRICS_TOKEN = env.metrics_token

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "common.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # A refused key or a 404 is an answer, not a line of its own; 500s are logged as errors.
    "loggers": {"django.request": {"level": "ERROR"}, "celery": {"level": "WARNING"}},
}
