"""Settings: one file. What differs between machines comes from the environment, typed, or fails."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from decimal import Decimal, InvalidOperation
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import available_timezones

from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from common import retention
from common.money import Micros, usd

BASE_DIR = Path(__file__).resolve().parents[2]
HOME = BASE_DIR if (BASE_DIR / "pyproject.toml").exists() else Path.cwd()
"""A clone, or where a program of an installed wheel was started."""


class Environment(BaseSettings):
    """The environment variables we read; `.env.example` lists them with their meaning."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    database_url: str
    secret_key: str
    """At least 50 characters."""
    key_peppers: Annotated[dict[int, str], NoDecode]
    """Version -> hex of at least 32 bytes. The highest version makes new digests."""
    secret_key_next: str = ""
    """What will be SECRET_KEY: its signatures are good here, and none is made by it yet."""
    secret_key_fallbacks: Annotated[list[str], NoDecode] = []
    """What was SECRET_KEY: their signatures are good still."""
    key_pepper_next: Annotated[dict[int, str], NoDecode] = {}
    """One version, higher than those of KEY_PEPPERS: it is known here, and makes nothing yet."""
    key_prefix: str = ""
    """What new keys have behind `comfyui-`, so that a scanner of secrets knows whose they are."""
    admin_secrets: Annotated[list[str], NoDecode] = []
    """Any of them opens /admin/*: two while one is being replaced. None: nobody does."""
    debug: bool = False
    allowed_hosts: Annotated[list[str], NoDecode] = ["localhost", "127.0.0.1", "[::1]"]
    public_url: str = ""
    """Where clients reach us, like https://credits.example.org; empty: the request's own Host."""
    hsts_seconds: int = Field(default=31_536_000, ge=0)
    """For how long browsers ask for https alone, once PUBLIC_URL begins so."""
    data_dir: Path = HOME / ".data"
    cache_url: str = ""
    """Where tries are counted: empty, in the database; or redis://host/1."""
    standby_url: str = ""
    """A server that replays the database's: a deep proof of the books reads there."""
    celery_broker_url: str = "memory://"
    celery_broker_options: Annotated[dict[str, Any], NoDecode] = {}
    otel_exporter_otlp_endpoint: str = ""
    """Where spans go, by OTLP over HTTP; empty: none are made, and nothing of it is loaded."""
    leak_report_keys_url: str = ""
    """Where a scanner of secrets publishes the keys by which it signs; empty: none is heard."""
    vendor_base_url: str = ""
    """A template with {vendor} that replaces every vendor's own address (sandbox, mirror)."""
    sandbox_operations: bool = False
    """Whether the sandbox's own operations can be called beside the real vendors'."""
    json_body_limit_bytes: int = Field(default=96 << 20, gt=0)
    stream_body_limit_bytes: int = Field(default=512 << 20, gt=0)
    body_memory_bytes: int = Field(default=512 << 20, gt=0)
    """What all request bodies held in the memory of one web process may take together."""
    connections: int = Field(default=8192, gt=0)
    """How many clients' connections one web process keeps; at most half of its open files."""
    connections_per_address: int = Field(default=512, gt=0)
    head_seconds: float = Field(default=10, gt=0)
    """So long a request's head may take, and a new connection until it begins."""
    keep_alive_seconds: float = Field(default=75, gt=0)
    body_grace_seconds: float = Field(default=10, gt=0)
    """So long a body may come as it likes; then it needs the average rate below."""
    body_bytes_per_second: int = Field(default=16 << 10, gt=0)
    answer_stall_seconds: float = Field(default=120, gt=0)
    """A client that takes nothing of its answer for so long is left."""
    uploads_hours: int = Field(default=24, gt=0, le=168)
    """For how long a file that a node put here can be fetched; then it is deleted."""
    uploads_quota_bytes: int = Field(default=10 << 30, gt=0)
    """Of one workspace, at a time."""
    uploads_are_public: Literal["auto", "yes", "no"] = "auto"
    """Whether vendors can fetch them; auto: as PUBLIC_URL says, or if they lie in a bucket."""
    uploads_s3_bucket: str = ""
    """Empty: they lie in DATA_DIR."""
    uploads_s3_endpoint_url: str = ""
    uploads_s3_region: str = ""
    uploads_s3_access_key_id: str = ""
    uploads_s3_secret_access_key: str = ""
    uploads_s3_addressing_style: Literal["path", "virtual", "auto"] = "auto"
    outside_origins: Annotated[list[str], NoDecode] = []
    """Origins that members may name though they are not public, or not https on port 443."""
    run_model_folders: Annotated[list[str], NoDecode] = []
    """Folders below /models/ into which a run may have files fetched; none unless named."""
    run_file_bytes: int = Field(default=4 << 30, gt=0)
    """How large a file may be that a run has fetched."""
    run_files_cache_bytes: int = Field(default=20 << 30, gt=0)
    """How much of such files one machine keeps."""
    runs_queue_minutes: int = Field(default=60, gt=0, le=24 * 60)
    """For how long a run waits for a machine at most; then it ends, and costs nothing."""
    runs_minutes: int = Field(default=30, gt=0, le=24 * 60)
    """For how long a run may work; then it is stopped."""
    runs_keep_days: int = Field(default=7, gt=0, le=365)
    """For how long what runs made can be fetched; then it is deleted, and their workflows."""
    runs_most_keep_days: int = Field(default=30, gt=0, le=365)
    """For how long at most a workspace may have that be, for its own runs."""
    runs_forgiven_seconds: int = Field(default=600, ge=0, le=24 * 3600)
    """So much failed work of a workspace in a day costs nothing."""
    trusted_proxies: Annotated[list[str], NoDecode] = []
    """Addresses or networks of the reverse proxies whose X-Forwarded-* is believed."""
    metrics_token: str = ""
    """If set, GET /metrics needs `Authorization: Bearer <token>`."""
    stripe_api_key: str = ""
    """Empty: credits cannot be bought here."""
    stripe_api_base: str = ""
    """Replaces Stripe's own address (a stand-in)."""
    stripe_webhook_secrets: Annotated[list[str], NoDecode] = []
    """Any of them may have signed an event: two while one is being replaced."""
    stripe_automatic_tax: bool = False
    stripe_invoices: bool = True
    concurrency_tiers: Annotated[list[tuple[str, int]], NoDecode] = [
        ("0", 1),
        ("0.01", 5),
        ("100", 10),
        ("500", 20),
        ("1000", 40),
    ]
    """From how many dollars paid, how many calls may run at once; empty: any number."""
    requests_per_minute: int = Field(default=0, ge=0, le=100_000)
    """How many calls a key without a limit of its own may begin in a minute; 0: any number."""
    time_zone: str = "UTC"
    """Where the days, weeks and months of allowances begin, like Europe/Berlin."""
    platform_name: str = "Credits"
    """What pages, mails and authenticator apps call this installation."""
    sign_up: Literal["open", "invitation", "domains"] = "open"
    """Who may make an account: anybody, the invited, or who has an address of SIGN_UP_DOMAINS."""
    sign_up_domains: Annotated[list[str], NoDecode] = []
    sign_up_forgotten_days: int = Field(default=7, gt=0)
    """After so many days an account whose address was never verified is taken away."""
    google_client_id: str = ""
    google_client_secret: str = ""
    github_client_id: str = ""
    github_client_secret: str = ""
    welcome_grant_usd: str = "0"
    """Credits for each newly verified address."""
    adjustment_limit_usd: str = "100"
    """Above it, what staff give or take by hand needs a second person."""
    member_refunds: Literal["off", "asked", "at_once"] = "off"
    """Whether members may want back what is unspent of a purchase; `asked`: staff decide."""
    member_refund_days: int = Field(default=14, ge=1, le=3650)
    """So long after its credits came."""
    email_url: str = "console:"
    """`console:`, or `smtp://user:password@host:587` (STARTTLS), or `smtps://...:465`."""
    mail_from: str = "Credits <credits@localhost>"
    deletion_grace_days: int = Field(default=14, ge=0, le=25)
    """So long somebody who confirmed that they go may change their mind."""
    books_years: int = Field(default=10, ge=1, le=30)
    """How many years after the one in which somebody was deleted books must be kept."""
    retention_days: Annotated[dict[str, int], NoDecode] = retention.DEFAULTS

    @field_validator(
        "allowed_hosts",
        "sign_up_domains",
        "outside_origins",
        "run_model_folders",
        "stripe_webhook_secrets",
        "trusted_proxies",
        "admin_secrets",
        "secret_key_fallbacks",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("*", mode="before")
    @classmethod
    def _no_example(cls, value: object) -> object:
        if isinstance(value, str) and "replace-this" in value:
            raise ValueError("is still the example's: put a value of your own there")
        return value

    @field_validator("celery_broker_options", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError("is a JSON object, like {}") from None

    @field_validator("leak_report_keys_url")
    @classmethod
    def _safe(cls, value: str) -> str:
        parts = urlsplit(value)
        is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if value and not (parts.hostname and (parts.scheme == "https" or is_here)):
            raise ValueError("is an https address")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _traced(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if not (parts.hostname and parts.scheme in ("http", "https")):
            raise ValueError("is empty, or like http://127.0.0.1:4318")
        if importlib.util.find_spec("opentelemetry") is None:
            raise ValueError(
                "is set, and the extra is not installed: pip install -r requirements-otel.lock"
            )
        return value

    @field_validator("key_prefix")
    @classmethod
    def _own_part(cls, value: str) -> str:
        if value and not re.fullmatch("[a-z][a-z0-9]{1,11}", value):
            raise ValueError("is 2 to 12 of a-z and 0-9, like acme; the first is a letter")
        return value

    @field_validator("admin_secrets")
    @classmethod
    def _long(cls, value: list[str]) -> list[str]:
        if any(len(each) < 32 for each in value):
            raise ValueError("are 32 characters or more, each, parted by commas")
        return value

    @field_validator("secret_key", "secret_key_next", "secret_key_fallbacks")
    @classmethod
    def _of_chance(cls, value: str | list[str], info: ValidationInfo) -> str | list[str]:
        some = [value] if isinstance(value, str) else value
        if value == "" and info.field_name != "secret_key":
            some = []
        if any(len(each) < 50 or len(set(each)) < 10 for each in some):
            raise ValueError(
                "needs 50 characters of chance or more:"
                " python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
            )
        return value

    @field_validator("public_url")
    @classmethod
    def _an_origin(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value.rstrip("/"))
        whole = f"{parts.scheme}://{parts.netloc}" == value.rstrip("/") and "@" not in value
        if not (whole and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0):
            raise ValueError("is like https://credits.example.org, with no path")
        if (parts.scheme, parts.port) in (("http", 443), ("https", 80)):
            raise ValueError("has one scheme and the other's port")
        return value

    @field_validator("outside_origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        usual = {"https": 443, "http": 80}
        for each in value:
            parts = urlsplit(each)
            host = parts.hostname or ""
            bare = f"[{host}]" if ":" in host else host
            port = "" if parts.port in (None, usual.get(parts.scheme)) else f":{parts.port}"
            if parts.scheme not in usual or not host or each != f"{parts.scheme}://{bare}{port}":
                raise ValueError("are like https://files.example.org:8443, in small letters")
        return value

    @field_validator("run_model_folders")
    @classmethod
    def _folders(cls, value: list[str]) -> list[str]:
        if not all(re.fullmatch("[a-z0-9][a-z0-9_-]{0,63}", each) for each in value):
            raise ValueError("are names of folders below models, like loras,checkpoints")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for each in value:
            ip_network(each, strict=False)
        return value

    @field_validator("welcome_grant_usd", "adjustment_limit_usd")
    @classmethod
    def _dollars(cls, value: str) -> str:
        try:
            is_good = Decimal(value).is_finite() and Decimal(value) >= 0
        except InvalidOperation:
            is_good = False
        if not is_good:
            raise ValueError("is an amount of dollars, like 5 or 0.50")
        return value

    @field_validator("concurrency_tiers", mode="before")
    @classmethod
    def _tiers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            found = [
                (paid.strip(), int(most))
                for paid, most in map(_pair, filter(None, value.split(",")))
            ]
            paid = [usd(each) for each, _ in found]
        except (ValueError, ArithmeticError):
            found, paid = [("?", -1)], [Micros(-1)]
        if found and (paid[0] != 0 or paid != sorted(set(paid)) or min(found, key=_second)[1] < 0):
            raise ValueError("is like 0:1,0.01:5,100:10: dollars paid, rising from 0, and calls")
        return found

    @field_validator("time_zone")
    @classmethod
    def _of_the_world(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is the name of a time zone, like Europe/Berlin")
        return value

    @field_validator("retention_days", mode="before")
    @classmethod
    def _kept(cls, value: object) -> object:
        return retention.read(value) if isinstance(value, str) else value

    @field_validator("email_url")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("console", "smtp", "smtps"):
            raise ValueError("is console:, smtp://... or smtps://...")
        return value

    @field_validator("sign_up_domains")
    @classmethod
    def _domains(cls, value: list[str]) -> list[str]:
        for each in value:
            if "@" in each or "." not in each.strip("."):
                raise ValueError("is like example.org,school.example")
        return [each.lower() for each in value]

    @field_validator("cache_url")
    @classmethod
    def _of_redis(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("redis", "rediss"):
            raise ValueError("is empty, or like redis://host/1")
        return value

    @field_validator("key_pepper_next", mode="before")
    @classmethod
    def _pepper(cls, value: object) -> object:
        """Read `2:<hex>`, or nothing."""
        if not isinstance(value, str):
            return value
        found = cls._peppers(value) if value.strip() else {}
        if len(found) > 1:
            raise ValueError("is one version alone, like 2:<hex>")
        return found

    @field_validator("key_pepper_next")
    @classmethod
    def _higher(cls, value: dict[int, str], info: ValidationInfo) -> dict[int, str]:
        if value and max(value) <= max(info.data.get("key_peppers", {}), default=0):
            raise ValueError("has a version that is higher than each of KEY_PEPPERS")
        return value

    @field_validator("key_peppers", mode="before")
    @classmethod
    def _peppers(cls, value: str) -> dict[int, str]:
        """Read `1:<hex>,2:<hex>`, or the same as JSON."""
        is_json = value.lstrip().startswith("{")
        try:
            found = json.loads(value) if is_json else dict(map(_pair, value.split(",")))
            peppers = {int(version): bytes.fromhex(pepper) for version, pepper in found.items()}
        except (ValueError, TypeError):
            peppers = {}
        if peppers and all(
            0 < version < 1 << 15 and len(pepper) >= 32 and any(pepper)
            for version, pepper in peppers.items()
        ):
            return {version: pepper.hex() for version, pepper in peppers.items()}
        raise ValueError(
            "is like 1:<hex>,2:<hex>, each of 32 bytes of chance or more:"
            " python3 -c 'import secrets; print(\"1:\" + secrets.token_hex(32))'"
        )

    @field_validator("database_url")
    @classmethod
    def _of_postgres(cls, value: str) -> str:
        try:
            conninfo_to_dict(value)
        except ProgrammingError:
            raise ValueError("is like postgresql://user:password@host/name") from None
        return value


def _second(pair: tuple[str, int]) -> int:
    return pair[1]


def _pair(text: str) -> tuple[str, str]:
    before, _, after = text.partition(":")
    return before, after


def read() -> Environment:
    """Return the environment; raise ImproperlyConfigured with a line for each mistake in it."""
    try:
        return Environment()  # type: ignore[call-arg]  # The environment gives them.
    except ValidationError as exc:
        lines = [
            f"{str(each['loc'][0]).upper()} {_said(each['type'], each['msg'])}"
            for each in exc.errors(include_url=False, include_input=False)
        ]
    raise ImproperlyConfigured("\n".join(lines))


def _said(kind: str, message: str) -> str:
    if kind == "missing":
        return "is missing (.env.example tells what it is)"
    return message.removeprefix("Value error, ").replace("Input should be", "should be")


env = read()

SECRET_KEY = env.secret_key
SECRET_KEY_NEXT = env.secret_key_next
SECRET_KEY_FALLBACKS = [*filter(None, [SECRET_KEY_NEXT]), *env.secret_key_fallbacks]
DEBUG = env.debug
ALLOWED_HOSTS = env.allowed_hosts
PUBLIC_URL = env.public_url.rstrip("/")
DATA_DIR = env.data_dir

SOCIAL = {
    name: {"client_id": identifier, "secret": secret}
    for name, identifier, secret in (
        ("google", env.google_client_id, env.google_client_secret),
        ("github", env.github_client_id, env.github_client_secret),
    )
    if identifier and secret
}
"""The other sites by which people sign in: those whose credentials are set."""

INSTALLED_APPS = [
    "config",
    "accounts",  # Before allauth: its templates stand in for allauth's.
    "staff",  # Before Django's admin: so do these.
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "accounts.apps.StaffConfig",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    *(f"allauth.socialaccount.providers.{name}" for name in SOCIAL),
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.headless",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "outbox",
    "audit",
    "webhooks",
    "credits",
    "apikeys",
    "usage",
    "prices",
    "desk",
    "uploads",
    "proxy",
    "runs",
    "privacy",
    "dashboard",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.away.DatabaseAway",
    "config.headers.NoStore",
    "config.whence.Whence",
    "config.headers.ContentPolicy",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.languages.ViewersLanguage",
    "accounts.doors.Doors",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    # None of these reads a session by itself: what asks by key never has one.
    "config.sessions.Sessions",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.visits.Visits",
    "config.zones.ViewersZone",
    # Last: whoever looks as a member is themselves to all that stands before.
    "staff.viewing.AsMember",
]
CSRF_FAILURE_VIEW = "config.health.forbidden"
ROOT_URLCONF = "config.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.pages.everywhere",
                "dashboard.shell.everywhere",
                "config.zones.zone",
                "staff.bar.everywhere",
                "desk.banners.everywhere",
            ]
        },
    }
]
STATIC_URL = "/static/"
PLATFORM_NAME = env.platform_name
APPEND_SLASH = False
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
IS_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
# A name that browsers take from this host alone, over https.
SESSION_COOKIE_NAME = "__Host-session" if IS_HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if IS_HTTPS else "csrf"
SECURE_HSTS_SECONDS = env.hsts_seconds if IS_HTTPS else 0
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # Whether its other subdomains are https is for the operator's proxy to say,
    "security.W021",  # and so it is whether browsers preload that.
    "security.W008",  # The proxy that ends TLS redirects; a health check here asks without it.
]

# How long to try to reach a server, and after how long one that says nothing is gone: what
# DATABASE_URL says goes first. It may name several hosts, with target_session_attrs=read-write.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def _server(url: str) -> dict[str, Any]:
    """Return what Django is told of a database."""
    given = conninfo_to_dict(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.pop("dbname", ""),
        "USER": given.pop("user", ""),
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": given.pop("port", ""),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **PATIENCE,
            **given,
            "pool": {"min_size": 0, "max_size": 16, "timeout": 5},
        },
    }


_default = _server(env.database_url)
_counts: dict[str, Any] = {
    **_default,
    "OPTIONS": {**_default["OPTIONS"], "pool": {"min_size": 0, "max_size": 4, "timeout": 5}},
    "TEST": {"MIRROR": "default"},
}
DATABASES: dict[str, dict[str, Any]] = {"default": _default, "counts": _counts}
if env.standby_url:
    DATABASES["standby"] = {**_server(env.standby_url), "TEST": {"MIRROR": "default"}}
# The second name has connections of its own: what is counted there stays counted, whatever
# becomes of the transaction around it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.cache_url,
    }
    if env.cache_url
    else {"BACKEND": "common.shared_cache.SharedCache"}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
_password_rules: dict[str, dict[str, Any]] = {
    "UserAttributeSimilarityValidator": {"user_attributes": ["email", "name"]},
    "MinimumLengthValidator": {"min_length": 12},
    "CommonPasswordValidator": {},
    "NumericPasswordValidator": {},
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in _password_rules.items()
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
SIGN_UP = env.sign_up
SIGN_UP_DOMAINS = env.sign_up_domains
SIGN_UP_FORGOTTEN_DAYS = env.sign_up_forgotten_days

ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
# Not SUPPORTS_CHANGE: allauth offers it for new addresses alone, and so tells which are known.
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
MFA_ADAPTER = "accounts.factors.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = MFA_PASSKEY_SIGNUP_ENABLED = True
MFA_TOTP_ISSUER = env.platform_name
MFA_TOTP_TOLERANCE = 1
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not IS_HTTPS  # For http://localhost.
HEADLESS_CLIENTS = ["browser"]  # "app" would double the doors, without CSRF.
SOCIALACCOUNT_ADAPTER = "accounts.adapters.SocialAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS = {
    name: {"APPS": [app], "OAUTH_PKCE_ENABLED": True} for name, app in SOCIAL.items()
}
USERSESSIONS_TRACK_ACTIVITY = True
USERSESSIONS_ADAPTER = "accounts.adapters.SessionsAdapter"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
"""Each by its own name, as it stands where one chooses (docs/translating.md)."""
LOCALE_PATHS = [Path(__file__).with_name("locale")]
FORMAT_MODULE_PATH = ["config.formats"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_SECURE = IS_HTTPS
MAILS_LANGUAGE = "accounts.languages.of_address"
"""Who knows in which language an address is written to: the outbox stands below people."""
MAILS_WANTED = "accounts.notices.wanted"
"""Who knows whether an address wants mails of a kind that may be left out."""
MAILS_LEAVING = "accounts.notices.leaving"
"""Who knows where it leaves them out."""
PERIODS_TIME_ZONE = env.time_zone
REQUESTS_PER_MINUTE = env.requests_per_minute
CONCURRENCY_TIERS = [(usd(paid), most) for paid, most in env.concurrency_tiers]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apikeys.authentication.TokenAuthentication",
        "apikeys.authentication.KeyAuthentication",
        "apikeys.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["common.drf.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.drf.LenientJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "common.openapi.Schema",
    "EXCEPTION_HANDLER": "common.drf.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Credits for ComfyUI's API nodes",
    "VERSION": "0.1.0",
    "SERVE_AUTHENTICATION": [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "common.openapi.complete",
    ],
    # What the stock frontend is told of has fewer roles than there are (accounts/frontend.py).
    "ENUM_NAME_OVERRIDES": {
        "WorkspaceKind": "accounts.models.Workspace.Kind",
        "Role": "accounts.models.Membership.Role",
        "RoleForFrontend": ["owner", "member"],
        "OwnerKind": "apikeys.allowances.KINDS",
    },
}

# The browser calls from wherever a ComfyUI runs, with a header and never a cookie (contract 2.6).
# Pages and what signs people in by cookie are read by no other site.
CORS_URLS_REGEX = r"^/(?!account/|_allauth/|staff/|static/|my/|invitations/|notices/|privacy/).*$"
CORS_ALLOW_ALL_ORIGINS = True
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = [
    "authorization",
    "x-api-key",
    "content-type",
    "comfy-env",
    "idempotency-key",
]
CORS_ALLOW_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CORS_EXPOSE_HEADERS = [
    "X-Capability-Revision",
    "Retry-After",
    "X-Comfy-Credits-Used",
    "X-Comfy-Error-Type",
    "X-Comfy-Estimated-Duration-Seconds",
    "X-Comfy-Estimated-Duration-P90-Seconds",
    "X-Comfy-Estimate-Source",
    "Idempotent-Replayed",
    "Call-Id",
    "X-Request-Id",
    "X-Comfy-Request-Id",
    "Run-Id",
    "X-Concurrency-Limit",
    "X-Concurrency-Current",
    "X-Concurrency-Remaining",
    "RateLimit",
    "RateLimit-Policy",
]

OTEL_EXPORTER_OTLP_ENDPOINT = env.otel_exporter_otlp_endpoint

CELERY_BROKER_URL = env.celery_broker_url
# A message only hurries: nobody tries for long to send one to a broker that is away.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 0,
    "socket_connect_timeout": 2,
    **env.celery_broker_options,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
# What asks vendors may hang; it has a queue, and a worker process, of its own (docs/running.md).
HEARTBEATS = {
    "default": "default",
    "beat": "worker",
    "calls": "calls",
    "money": "money",
    "jobs": "jobs",
}
"""Each queue, and the name under which a heartbeat that went through it is written."""
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in HEARTBEATS]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "proxy.tasks.follow_jobs": {"queue": "jobs"},
    "proxy.tasks.sweep_holds": {"queue": "calls"},
    "credits.*": {"queue": "money"},
    "proxy.tasks.heartbeat": {"queue": "beat"},
}
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"  # However many beats there are, one begins.
CELERY_BEAT_SCHEDULE = {
    "heartbeat": {"task": "proxy.tasks.heartbeat", "schedule": 5, "options": {"expires": 10}},
    "heartbeat-of-jobs": {
        "task": "proxy.tasks.heartbeat",
        "args": ["jobs"],
        "schedule": 5,
        "options": {"expires": 10, "queue": "jobs"},
    },
    **{
        f"heartbeat-of-{queue}": {
            "task": "proxy.tasks.heartbeat",
            "args": [HEARTBEATS[queue]],
            "schedule": 15,
            "options": {"expires": 30, "queue": queue},
        }
        for queue in ("default", "calls", "money")
    },
    "follow-jobs": {"task": "proxy.tasks.follow_jobs", "schedule": 2, "options": {"expires": 4}},
    "sweep-holds": {"task": "proxy.tasks.sweep_holds", "schedule": 5, "options": {"expires": 10}},
    "forget-answers": {"task": "proxy.tasks.forget", "schedule": 300, "options": {"expires": 300}},
    "follow-money": {
        "task": "credits.payments.tasks.follow_money",
        "schedule": 2,
        "options": {"expires": 4},
    },
    "tend-wallets": {
        "task": "credits.payments.tasks.tend_wallets",
        "schedule": 30,
        "options": {"expires": 60},
    },
    "expire-lots": {
        "task": "credits.books.tasks.expire_lots",
        "schedule": 30,
        "options": {"expires": 60},
    },
    "forget-budgets": {"task": "credits.books.tasks.forget_budgets", "schedule": 3600},
    "send-mails": {"task": "outbox.tasks.send_mails", "schedule": 5, "options": {"expires": 10}},
    "tell-of-webhooks": {
        "task": "accounts.tasks.tell_of_webhooks",
        "schedule": 30,
        "options": {"expires": 60},
    },
    "tell-of-limits": {
        "task": "apikeys.tasks.tell_of_limits",
        "schedule": 300,
        "options": {"expires": 300},
    },
    "tell-of-months": {
        "task": "apikeys.tasks.tell_of_months",
        "schedule": crontab(hour="7", minute="7"),
    },
    "send-webhooks": {
        "task": "webhooks.tasks.send_webhooks",
        "schedule": 2,
        "options": {"expires": 4},
    },
    "listen-again": {"task": "credits.payments.tasks.listen_again", "schedule": 900},
    "compare-with-processor": {
        "task": "credits.payments.tasks.compare_with_processor",
        "schedule": crontab(hour="3", minute="17"),
    },
    "tend-sign-ins": {"task": "accounts.tasks.tend_sign_ins", "schedule": 3600},
    "prove-books": {
        "task": "staff.tasks.prove_books",
        "schedule": crontab(minute="31"),
        "options": {"expires": 1800},
    },
    "prove-books-deeply": {
        "task": "staff.tasks.prove_books",
        "kwargs": {"deep": True},
        "schedule": crontab(day_of_week="0", hour="4", minute="47"),
        "options": {"expires": 6 * 3600},
    },
    "sum-days": {"task": "credits.proofs.tasks.sum_days", "schedule": crontab(minute="11")},
    "seal-books": {
        "task": "credits.statements.tasks.seal_books",
        "schedule": crontab(minute="41"),
        "options": {"expires": 1800},
    },
    "tend-pairings": {
        "task": "apikeys.tasks.tend_pairings",
        "schedule": 60,
        "options": {"expires": 60},
    },
    "tend-accounts": {"task": "accounts.tasks.tend_accounts", "schedule": 3600},
    "delete-expired-uploads": {
        "task": "uploads.tasks.delete_expired",
        "schedule": 300,
        "options": {"expires": 300},
    },
    "tend-privacy": {"task": "privacy.tasks.tend", "schedule": 60, "options": {"expires": 60}},
    "tidy-files-of-runs": {"task": "runs.tasks.tidy_cache", "schedule": 3600},
    "name-files-of-runs": {
        "task": "runs.tasks.name_files",
        "schedule": 600,
        "options": {"expires": 300},
    },
    "forget-budgets-of-runs": {"task": "runs.tasks.forget_budgets", "schedule": 600},
    "keep-no-longer": {"task": "privacy.tasks.forget", "schedule": crontab(hour="4", minute="7")},
    "make-partitions": {"task": "usage.tasks.make_partitions", "schedule": 3600},
    "catch-up-sums": {
        "task": "usage.tasks.catch_up_sums",
        "schedule": 60,
        "options": {"expires": 60},
    },
}

_peppers = {**env.key_peppers, **env.key_pepper_next}
KEY_PEPPERS = {version: bytes.fromhex(pepper) for version, pepper in _peppers.items()}
KEY_PEPPER_NEXT = next(iter(env.key_pepper_next), None)
"""The version that is known and makes nothing yet (common/rotating.py)."""
KEY_PREFIX = env.key_prefix
ADMIN_SECRETS = env.admin_secrets
LEAK_REPORT_KEYS_URL = env.leak_report_keys_url
VENDOR_BASE_URL = env.vendor_base_url
VENDOR_SETTINGS = {name: value for name, value in os.environ.items() if name.startswith("VENDOR_")}
if _bad := [
    name
    for name, value in VENDOR_SETTINGS.items()
    if name.endswith("_OWN_FEE_MICROS") and not (value.isdecimal() and len(value) < 10)
]:
    raise ImproperlyConfigured("\n".join(f"{name} is micros, like 5000" for name in _bad))
SANDBOX_OPERATIONS = env.sandbox_operations
JSON_BODY_LIMIT_BYTES = env.json_body_limit_bytes
STREAM_BODY_LIMIT_BYTES = env.stream_body_limit_bytes
BODY_MEMORY_BYTES = env.body_memory_bytes
UPLOADS_HOURS = env.uploads_hours
UPLOADS_QUOTA_BYTES = env.uploads_quota_bytes
UPLOADS_ARE_PUBLIC = env.uploads_are_public
UPLOADS_S3_BUCKET = env.uploads_s3_bucket
if UPLOADS_S3_BUCKET and importlib.util.find_spec("storages") is None:
    raise ImproperlyConfigured("UPLOADS_S3_BUCKET needs django-storages[s3], which is not here.")
UPLOADS_S3_ENDPOINT_URL = env.uploads_s3_endpoint_url
UPLOADS_S3_REGION = env.uploads_s3_region
UPLOADS_S3_ACCESS_KEY_ID = env.uploads_s3_access_key_id
UPLOADS_S3_SECRET_ACCESS_KEY = env.uploads_s3_secret_access_key
UPLOADS_S3_ADDRESSING_STYLE = env.uploads_s3_addressing_style
RUNS_QUEUE_SECONDS, RUNS_SECONDS = env.runs_queue_minutes * 60, env.runs_minutes * 60
RUNS_KEEP_DAYS, RUNS_MOST_KEEP_DAYS = env.runs_keep_days, env.runs_most_keep_days
RUNS_FORGIVEN_SECONDS = env.runs_forgiven_seconds
METRICS_TOKEN = env.metrics_token
CONNECTIONS = env.connections
CONNECTIONS_PER_ADDRESS = env.connections_per_address
HEAD_SECONDS = env.head_seconds
KEEP_ALIVE_SECONDS = env.keep_alive_seconds
BODY_GRACE_SECONDS = env.body_grace_seconds
BODY_BYTES_PER_SECOND = env.body_bytes_per_second
ANSWER_STALL_SECONDS = env.answer_stall_seconds
TRUSTED_PROXIES = env.trusted_proxies
OUTSIDE_ORIGINS = env.outside_origins
RUN_MODEL_FOLDERS = env.run_model_folders
RUN_FILE_BYTES = env.run_file_bytes
RUN_FILES_CACHE_BYTES = env.run_files_cache_bytes

STRIPE_API_KEY = env.stripe_api_key
STRIPE_API_BASE = env.stripe_api_base
STRIPE_WEBHOOK_SECRETS = env.stripe_webhook_secrets
STRIPE_AUTOMATIC_TAX = env.stripe_automatic_tax
STRIPE_INVOICES = env.stripe_invoices
WELCOME_GRANT_MICROS = usd(env.welcome_grant_usd)
ADJUSTMENT_LIMIT_MICROS = usd(env.adjustment_limit_usd)
MEMBER_REFUNDS, MEMBER_REFUND_DAYS = env.member_refunds, env.member_refund_days
DELETION_GRACE_DAYS, BOOKS_YEARS = env.deletion_grace_days, env.books_years
RETENTION_DAYS = env.retention_days

_mail = urlsplit(env.email_url)
_backend = "console" if _mail.scheme == "console" else "smtp"
EMAIL_BACKEND = f"django.core.mail.backends.{_backend}.EmailBackend"
EMAIL_HOST = _mail.hostname or "localhost"
EMAIL_PORT = _mail.port or (465 if _mail.scheme == "smtps" else 587)
EMAIL_HOST_USER = unquote(_mail.username or "")
EMAIL_HOST_PASSWORD = unquote(_mail.password or "")
EMAIL_USE_SSL = _mail.scheme == "smtps"
EMAIL_USE_TLS = _mail.scheme == "smtp"
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.mail_from

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "common.logs.JsonFormatter"}},
    "filters": {
        "strangers": {"()": "common.logs.NoTraceOfStrangers"},
        "left": {"()": "common.logs.NothingOfWhoLeft"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "filters": ["strangers", "left"],
        }
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # A refused key or a 404 is an answer, not a line of its own; 500s are logged as errors.
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        # They name addresses and objects of members.
        "stripe": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
    },
}
