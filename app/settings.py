"""Settings, all from the environment; a missing or bad value stops the start and is named.

Every variable is listed in `.env.example`. A secret may also be given as `NAME_FILE`, a path whose
content is the secret.
"""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import environ
import structlog
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()
environ.Env.read_env(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))


def _bool(name: str, default: bool) -> bool:
    raw = env.str(name, default=str(default)).strip().lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={raw!r}: expected one of 1, 0, true, false, yes, no, on, off")


DEBUG = _bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", default="only-for-debug" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Set it (or SECRET_KEY_FILE) to 50 random characters, or start with `make run`, "
        "which makes one."
    )

SITE_URL = env.str("SITE_URL", default="http://127.0.0.1:8000").rstrip("/")
_site = urlsplit(SITE_URL)
if _site.scheme not in {"http", "https"} or not _site.hostname:
    raise ImproperlyConfigured(f"SITE_URL={SITE_URL!r}: expected http://host[:port] or https://host")
_HTTPS = _site.scheme == "https"
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[_site.hostname, "127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[SITE_URL])
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)

# --- Rooms -------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "knox",
    "app.apps.PlumblineConfig",
    "app.accounts",
    "app.jobs",
    "app.ledger",
    "app.web",
    "app.webhooks",
    "annotations.projects",
    "annotations.items",
    "annotations.judging",
    "annotations.people",
    "annotations.analysis",
    "annotations.lm",
    "annotations.criteria",
    "annotations.datasets",
    "routing.features",
    "routing.rewards",
    "routing.plans",
]

MIDDLEWARE = [
    "app.web.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "app.accounts.languages.LanguageMiddleware",
    "app.accounts.middleware.GuestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "app.web.conditional.ApiConditionalMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "app.accounts.middleware.SignInAgainMiddleware",
    "app.web.middleware.NotAllowedMiddleware",
]

ROOT_URLCONF = "app.urls"
WSGI_APPLICATION = "app.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
            "builtins": ["app.web.templatetags.plumbline", "django.templatetags.i18n"],
        },
    }
]

# --- Database ----------------------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR}/plumbline.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
_db = DATABASES["default"]
if _db["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE + WAL: no lost write under concurrency; FULL: an acknowledged judgment survives a power cut.
    _db["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": (
            "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
            "PRAGMA journal_size_limit=67108864;PRAGMA cache_size=-16000;PRAGMA temp_store=MEMORY;"
        ),
    }
    _db["CONN_MAX_AGE"] = None
    _db["TEST"] = {"NAME": env.str("TEST_SQLITE", default=str(DATA_DIR / "test.sqlite3"))}
elif _db["ENGINE"] == "django.db.backends.postgresql":
    _db["OPTIONS"] = {
        "pool": {
            "min_size": 1,
            "max_size": env.int("DATABASE_POOL", default=8),
            "timeout": 20,
        }
    }
    _db["CONN_MAX_AGE"] = 0
else:
    raise ImproperlyConfigured(
        "DATABASE_URL: expected sqlite:///path or postgres://user:password@host:port/name"
    )

# --- Cache, broker -----------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
        }
    }
else:
    # On disk, not in memory: login rate limits must hold over all web processes.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(DATA_DIR / "cache"),
            "OPTIONS": {"MAX_ENTRIES": 5000},
        }
    }

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL or "filesystem://")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
# Pretrained models that reward models may start from, and the threads of a training on a CPU.
REWARD_BASE_FOLDERS = env.list("REWARD_BASE_FOLDERS", default=[])
REWARD_CPU_THREADS = env.int("REWARD_CPU_THREADS", default=1)
JOB_LEASE_SECONDS = env.int(
    "JOB_LEASE_SECONDS", default=120
)  # after so long without a sign, a job's worker is dead
SWEEP_SECONDS = env.float("SWEEP_SECONDS", default=15.0)
EXPORT_KEEP_DAYS = env.int("EXPORT_KEEP_DAYS", default=180)
JOB_LOG_KEEP_DAYS = env.int("JOB_LOG_KEEP_DAYS", default=180)
for _name in ("EXPORT_KEEP_DAYS", "JOB_LOG_KEEP_DAYS"):
    if globals()[_name] < 0:
        raise ImproperlyConfigured(f"{_name}={globals()[_name]}: expected days, or 0 for ever")
CELERY_BEAT_SCHEDULE = {
    "sweep-jobs": {"task": "jobs.sweep", "schedule": SWEEP_SECONDS, "options": {"expires": SWEEP_SECONDS}},
    "expire-leases": {
        "task": "judging.expire_leases",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "seal-log": {"task": "judging.seal_log", "schedule": 60.0, "options": {"expires": 60}},
    "purge-projects": {"task": "projects.purge_due", "schedule": 3600.0, "options": {"expires": 3600}},
    "forget-people": {"task": "people.forget", "schedule": 3600.0, "options": {"expires": 3600}},
    "forget-answers": {"task": "web.forget_answers", "schedule": 3600.0, "options": {"expires": 3600}},
    "forget-job-logs": {"task": "jobs.forget_logs", "schedule": 3600.0, "options": {"expires": 3600}},
    "forget-bad-rows": {"task": "judging.forget_bad_rows", "schedule": 3600.0, "options": {"expires": 3600}},
    "remove-exports": {
        "task": "datasets.remove_old_exports",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "send-webhooks": {"task": "webhooks.sweep", "schedule": 30.0, "options": {"expires": 30}},
    "tally": {"task": "people.tally", "schedule": 60.0, "options": {"expires": 60}},
    "adapt-leases": {"task": "judging.adapt_leases", "schedule": 300.0, "options": {"expires": 300}},
    "budget-alerts": {"task": "people.budget_alerts", "schedule": 300.0, "options": {"expires": 300}},
    "charge-gpu": {"task": "plans.charge_gpu", "schedule": 300.0, "options": {"expires": 300}},
    "reward-loops": {"task": "rewards.loops", "schedule": 60.0, "options": {"expires": 60}},
    "weekly-panels": {"task": "criteria.weekly_panels", "schedule": 3600.0, "options": {"expires": 3600}},
    "features-keep-up": {"task": "features.keep_up", "schedule": 60.0, "options": {"expires": 60}},
    "plans-keep-up": {"task": "plans.keep_up", "schedule": 60.0, "options": {"expires": 60}},
    "order-queues": {"task": "analysis.order_queues", "schedule": 60.0, "options": {"expires": 60}},
    "settle-pay": {"task": "people.settle_pay", "schedule": 300.0, "options": {"expires": 300}},
}
if CELERY_BROKER_URL.startswith("filesystem://"):
    _broker = DATA_DIR / "broker"
    for _name in ("queue", "processed", "control"):
        (_broker / _name).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT = "app.jobs.broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker / "queue"),
        "data_folder_out": str(_broker / "queue"),
        "processed_folder": str(_broker / "processed"),
        "control_folder": str(_broker / "control"),
        "store_processed": False,
    }
elif CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
    # Longer than the longest task, or a long training would be delivered twice; the Job lease decides anyway.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 6 * 3600,
        "unacked_restore_throttle": 1,
    }

# --- People ------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "app.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*", "password2*"]
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = env.str("EMAIL_VERIFICATION", default="none")
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _site.scheme
ACCOUNT_LOGOUT_ON_GET = False
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1  # a code typed in the last second of its half minute still counts (RFC 6238, 5.2)
ALLOW_SIGNUP = _bool("ALLOW_SIGNUP", False)
# Sign-in through an organisation's OpenID Connect server. Accounts are never joined by e-mail alone: who has one
# connects it from "Connected accounts" after signing in.
OIDC_SERVER_URL = env.str("OIDC_SERVER_URL", default="").rstrip("/")
OIDC_NAME = env.str("OIDC_NAME", default="your organisation")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
OIDC_EMAIL_DOMAINS = [domain.strip().lower() for domain in env.list("OIDC_EMAIL_DOMAINS", default=[])]
_oidc = urlsplit(OIDC_SERVER_URL)
if OIDC_SERVER_URL and (_oidc.scheme not in {"http", "https"} or not _oidc.hostname):
    raise ImproperlyConfigured(f"OIDC_SERVER_URL={OIDC_SERVER_URL!r}: expected https://host[/path]")
if OIDC_SERVER_URL and not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET):
    raise ImproperlyConfigured("OIDC_SERVER_URL needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET beside it.")
OIDC_PROVIDER = "oidc"
SOCIALACCOUNT_ADAPTER = "app.accounts.adapter.OrganisationAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = False
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_OPENID_CONNECT_URL_PREFIX = "organisation"
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": []}}
if OIDC_SERVER_URL:
    SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] = [
        {
            "provider_id": OIDC_PROVIDER,
            "name": OIDC_NAME,
            "client_id": OIDC_CLIENT_ID,
            "secret": OIDC_CLIENT_SECRET,
            "settings": {"server_url": OIDC_SERVER_URL, "oauth_pkce_enabled": True},
        }
    ]
SESSION_COOKIE_AGE = 14 * 24 * 3600

EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"plumbline@{_site.hostname}")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Security ----------------------------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
if _bool("BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "app.web.views.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # A form that begins the sign-in at the organisation is redirected there, which browsers count as its action.
        "form-action": [SELF, *([f"{_oidc.scheme}://{_oidc.netloc}"] if OIDC_SERVER_URL else [])],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
    }
}
# A 10 MB text must reach our own check and get a clear answer; a larger body is refused by Django with 413/400.
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
LM_LOCAL_DIR = env.str("LM_LOCAL_DIR", default=str(DATA_DIR / "weights"))
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_MB", default=2048) * 1024 * 1024
# Receivers on one's own network and by plain http: for trying out, never on a site that strangers may use.
WEBHOOK_ALLOW_PRIVATE = _bool("WEBHOOK_ALLOW_PRIVATE", False)
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# The hub that exports are pushed to, and what opens it. Only the site's own settings name them, never a person.
HF_TOKEN = env.str("HF_TOKEN", default="").strip()
HF_ENDPOINT = env.str("HF_ENDPOINT", default="https://huggingface.co").rstrip("/")
_hub = urlsplit(HF_ENDPOINT)
if _hub.scheme not in {"http", "https"} or not _hub.hostname or _hub.username:
    raise ImproperlyConfigured(
        "HF_ENDPOINT: expected http://host[:port] or https://host, without a user name"
    )

# --- API ---------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "app.accounts.scopes.TokenScope",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "app.web.api_schema.ApiSchema",
    "DEFAULT_PAGINATION_CLASS": None,
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.UserRateThrottle",
        "rest_framework.throttling.AnonRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {
        "user": env.str("API_RATE_USER", default="600/min") or None,
        "anon": env.str("API_RATE_ANON", default="60/min") or None,
    },
    "NUM_PROXIES": 1 if _bool("BEHIND_PROXY", False) else 0,
    "EXCEPTION_HANDLER": "app.web.problems.exception_handler",
}
KNOX_TOKEN_MODEL = "knox.AuthToken"
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=180),
    "AUTO_REFRESH": False,
    "TOKEN_LIMIT_PER_USER": 20,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Plumbline API",
    "DESCRIPTION": "Projects, items, judgments, plans, reward models and datasets.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "OAS_VERSION": "3.1.1",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "PREPROCESSING_HOOKS": ["app.web.api_schema.only_v1"],
    "POSTPROCESSING_HOOKS": [],  # choices stand where they are used, without made-up names
}

# --- Static, files, language -------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = DATA_DIR / "media"
VOTES_DIR = DATA_DIR / "votes"  # arrays of votes, made again when they are missing
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # each by its own name; see "Languages" in docs/ui.md
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# --- Logs --------------------------------------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
_shared_processors = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
structlog.configure(
    processors=[
        *_shared_processors,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _shared_processors,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.dev.ConsoleRenderer(colors=False)
                if env.str("LOG_FORMAT", default="text") == "text"
                else structlog.processors.JSONRenderer(),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "ERROR"},
        "openai": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "huggingface_hub._commit_api": {"level": "ERROR"},  # says that it does not use Xet, for every file
    },
}
