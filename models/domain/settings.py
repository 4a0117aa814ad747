"""Settings: defaults ‹ ``YIWANG_HOME/yiwang.toml`` ‹ environment ``YIWANG_*``; secrets from the environment only."""

import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from models.domain.errors import YiwangError
from models.domain.validation import said

SECRETS = ("oidc_client_secret", "digest_key", "api_tokens", "session_key", "alert_webhook", "alert_secret", "database_url", "keys", "audit_keys", "report_keys")
"""Settings that are refused in ``yiwang.toml``."""


class Settings(BaseSettings):
    """All settings of the platform."""

    model_config = SettingsConfigDict(env_prefix="YIWANG_", extra="ignore", frozen=True)

    home: Path = Field(Path("data"), description="Folder of everything that a run makes: warehouse, snapshots, logs, reports.")
    dev: bool = Field(False, description="Development principal on loopback, without log-in; `make serve` sets it.")
    host: str = Field("127.0.0.1", description="Address that the server binds to.")
    port: int = Field(8000, ge=1, le=65535, description="Port that the server binds to.")
    zone: str = Field("Asia/Shanghai", description="Zone in which instants become days.")
    keep_snapshots: int = Field(3, ge=2, description="Published snapshots kept, the current one included.")
    memory_limit: str = Field("3GB", description="DuckDB's memory limit for the pipelines; beyond it they spill to disk.")
    threads: int = Field(2, ge=1, description="DuckDB threads of the pipelines.")
    digest_key: SecretStr | None = Field(None, description="Secret key (16 or more characters) that digests personal identifiers; without it a key is made once in the home, for development.")
    api_tokens: SecretStr | None = Field(None, description="Access tokens as `name:role:sha256-hex`, comma-separated; roles: viewer, operator, administrator.")

    source_roots: str = Field("", description="Folders (separated by `:`) that a sources.yml edited by page may read, beside `sample` and `uploads` of the home; relative ones are of the home, of which nothing else may be read.")
    source_variables: str = Field("", description="Environment variables (separated by `,`) that a sources.yml edited by page may name, beside `YIWANG_SOURCE_*` and those it names already.")
    session_key: SecretStr | None = Field(None, description="Secret (32 or more characters) that seals the tokens of forms; without it one is made once in the home.")

    fresh_within_hours: int | None = Field(None, ge=1, description="Hours after which a source without newer records counts as stale; `fresh_within` of a source goes before it; none: no alert for sources that state none.")
    quiet_seconds: int = Field(120, ge=0, description="Seconds for which the files of the sources must stay as they are before the file sensor starts a run.")
    keep_runs_days: int = Field(400, ge=1, description="Days for which `yiwang tidy` keeps the books of a run: counts, results of checks, report, Dagster's events.")
    keep_deleted_days: int = Field(400, ge=1, description="Days for which `yiwang tidy` keeps records that their source has deleted.")
    keep_logs_days: int = Field(30, ge=1, description="Days for which `yiwang tidy` keeps logs and load packages of sources that are gone.")
    alert_webhook: SecretStr | None = Field(None, description="http(s) address to which alerts are posted; none: no alerts.")
    alert_secret: SecretStr | None = Field(None, description="Secret (16 or more characters) with which alerts are signed (HMAC-SHA256); none: they are not signed.")

    database_url: SecretStr | None = Field(None, description="SQLAlchemy URL of the operational database, `postgresql://…` in production; none: an SQLite file in the home.")
    keys: SecretStr | None = Field(None, description="Keys that encrypt personal data in the operational database, as `id:64 hex digits`, comma-separated; the first encrypts, all decrypt; none: one is made once in the home, for development.")
    audit_keys: SecretStr | None = Field(None, description="Keys that sign the audit chain, in the form of `YIWANG_KEYS`; the first signs; never remove one; none: one is made once in the home, for development.")
    report_keys: SecretStr | None = Field(None, description="Keys that sign packages for the platform above, in the form of `YIWANG_KEYS`; the first signs; none: one is made once in the home, for development.")
    report_signature: Literal["ed25519", "ecdsa-p256", "provider"] = Field("ed25519", description="What signs packages for the platform above; `provider`: the crypto provider, SM2 where it is a certified module.")
    cipher: Literal["sm4-gcm", "aes-256-gcm"] = Field("sm4-gcm", description="What encrypts personal data; what the other has encrypted stays readable.")
    crypto_provider: str = Field("software", description="`software`, or `package.module:factory` of a certified module's adapter (docs/security.md).")
    review_default_days: int = Field(15, ge=1, description="Days after a decision without a review, after which it counts as reviewed by default.")
    review_verify_days: int = Field(1, ge=1, description="Days for verifying a bad review, in review_unit; a change holds for reviews given from then on.")
    review_simple_days: int = Field(5, ge=1, description="Days for putting right at once what a bad review complains of, in review_unit.")
    review_complex_days: int = Field(15, ge=1, description="Days for rectification with a ledger, in review_unit.")
    review_unit: Literal["wd", "cd"] = Field("wd", description="Unit of the limits of bad reviews: working or calendar days.")
    webhook_private: bool = Field(False, description="Webhooks may go to addresses of this machine and of internal networks.")
    webhook_days: int = Field(3, ge=1, description="Days for which deliveries to a webhook may fail before it is switched off.")
    keep_answers_days: int = Field(7, ge=1, description="Days for which the answer to a request with an Idempotency-Key is kept.")
    keep_messages_days: int = Field(30, ge=1, description="Days for which messages of the outbox are kept that all consumers have read.")
    body_bytes: int = Field(2_000_000, ge=10_000, description="Bytes that a request may send at most; forms of pages three times as many, as each byte is written as three.")
    body_seconds: int = Field(30, ge=1, description="Seconds in which what a request sends must have come.")
    session_idle_minutes: int = Field(30, ge=1, description="Minutes after which a session that nobody uses ends.")
    session_hours: int = Field(12, ge=1, description="Hours after which a session ends, used or not.")
    sessions_per_person: int = Field(5, ge=1, description="Sessions that one person may have at once; a further one ends the oldest.")
    login_failures: int = Field(5, ge=1, description="Failed attempts to come in, by account or address, after which both are locked; each further one doubles the time.")
    second_factors: str = Field("otp,mfa,hwk,swk,sc", description="Values of `amr` (RFC 8176) of which administrators' log-ins must have one, comma-separated; empty: none is asked for.")
    public_url: str | None = Field(None, description="Address under which browsers reach the server, `https://city.example`; needed for log-in by OpenID Connect unless the server is reached on loopback.")
    trusted_proxies: str = Field("", description="Addresses of the reverse proxies in front, comma-separated; the client is then the last entry of `X-Forwarded-For` that is none of them; empty: whoever connects is the client.")
    oidc_issuer: str | None = Field(None, description="Issuer of the identity provider (OpenID Connect); https unless on loopback; none: log-in by access token only.")
    oidc_client_id: str = Field("yiwang", description="What the identity provider calls this platform.")
    oidc_client_secret: SecretStr | None = Field(None, description="The platform's secret at the identity provider; none: a public client, PKCE alone.")
    oidc_scope: str = Field("openid profile", description="Scopes asked for; `openid` is among them.")
    oidc_staff_claim: str = Field("sub", description="Claim that holds the account of staff (`staff.account`); one that people cannot change themselves.")
    oidc_citizen_claim: str = Field("", description="Claim that holds the certified identity number or credit code of citizens and enterprises, its name in `name`; empty: only staff log in.")
    password_length: int = Field(8, ge=8, description="Local log-in provider: characters of a password at least.")
    password_days: int = Field(90, ge=1, description="Local log-in provider: days after which a password is due for a new one.")
    password_history: int = Field(5, ge=0, description="Local log-in provider: earlier passwords that may not come back.")
    quality_rule_seconds: float = Field(120, gt=0, description="Seconds after which a quality rule is stopped and reported as not evaluated; the others go on.")
    quality_rules: Path | None = Field(None, description="Folder of the city's own quality rules, read beside the shipped ones; none: `rules` in the home, if it is there.")
    quality_listed: int = Field(100_000, ge=1, description="Violations of one quality rule that the ledger lists; of more it lists an even sample of at most as many and counts the rest.")
    quality_silence: float = Field(1e-6, ge=0, lt=1, description="A department that sends nothing on a working day is reported where that would happen by chance less often than this; 0 reports none.")
    quality_recount: bool = Field(True, description="Great Expectations counts in each run what the quality rules found; without it there are no pages of it either.")
    quality_docs: bool = Field(True, description="Pages of Great Expectations (Data Docs) are written beside the report of each run.")
    forecast: bool = Field(True, description="Each run forecasts which open cases will probably be late.")
    quality_profile: bool = Field(True, description="Each run profiles the columns of the marts, compares them with last month and looks for suspicious records.")
    quality_profile_days: int = Field(7, ge=0, description="Days for which a profile is good within its month; 0: each run profiles anew. Suspicious records are looked for in each run.")
    clock_skew_seconds: int = Field(60, ge=0, description="How far a server's clock may lie behind the last event of a case; the command then takes that event's instant, beyond it the command is refused.")
    audit_heads: Path | None = Field(None, description="File outside the database to which the signed heads of the audit chain are appended; none: `audit.heads` in the home.")

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones
            raise ValueError(f"没有“{value}”这个时区，应为 Asia/Shanghai 这样的名称") from None
        return value

    @field_validator("session_key")
    @classmethod
    def _session_key_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("至少 32 个字符")
        return value

    @field_validator("digest_key", "alert_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("至少 16 个字符")
        return value

    @field_validator("keys", "audit_keys", "report_keys")
    @classmethod
    def _is_a_key_ring(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            entries = [entry.strip() for entry in value.get_secret_value().split(",")]
            if not all(re.fullmatch(r"[a-z0-9-]{1,16}:[0-9a-fA-F]{64}", entry) for entry in entries):
                raise ValueError("应为以逗号分隔的“编号:64 位十六进制数”，编号由小写字母、数字和连字符组成，不超过 16 个字符")
            if len({entry.partition(":")[0] for entry in entries}) < len(entries):
                raise ValueError("密钥编号重复")
        return value

    @field_validator("oidc_issuer", "public_url")
    @classmethod
    def _is_safe_address(cls, value: str | None) -> str | None:
        if value is not None:
            address = urlsplit(value)
            is_local = address.hostname in ("127.0.0.1", "::1", "localhost")
            if not address.hostname or address.username or address.query or address.fragment or (address.scheme != "https" and not (is_local and address.scheme == "http")):
                raise ValueError("应为 https 地址（本机可用 http），不带账号、参数和锚点")
        return value

    @field_validator("alert_webhook")
    @classmethod
    def _is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            address = urlsplit(value.get_secret_value())
            if address.scheme not in ("http", "https") or not address.hostname:
                raise ValueError("应为 http 或 https 地址")
        return value

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then ``yiwang.toml`` of the home."""
        home = Path(init_settings().get("home") or env_settings().get("home") or cls.model_fields["home"].default)
        return init_settings, env_settings, InitSettingsSource(settings_cls, _from_file(home / "yiwang.toml"))

    @property
    def tzinfo(self) -> ZoneInfo:
        """Zone in which instants become days."""
        return ZoneInfo(self.zone)

    @property
    def work(self) -> Path:
        """Folder of the pipelines' own files; nothing in it is published."""
        return self.home / "work"

    @property
    def warehouse(self) -> Path:
        """DuckDB file of landing, raw, staging and intermediate tables (mode 0600)."""
        return self.work / "warehouse.duckdb"

    @property
    def marts(self) -> Path:
        """DuckDB file of the masked marts that publishing copies."""
        return self.work / "masked.duckdb"

    @property
    def own_rules(self) -> Path:
        """Folder of the city's own quality rules; it need not be there."""
        return self.quality_rules or self.home / "rules"

    @property
    def snapshots(self) -> Path:
        """Folder of published snapshots and of the pointer ``current.json``."""
        return self.home / "snapshots"


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise YiwangError("YW-CONFIG-001", name=str(path), detail=str(error)) from error
    if leaked := sorted(set(values) & set(SECRETS)):
        raise YiwangError("YW-CONFIG-001", name="、".join(leaked), detail="密钥只能来自环境变量，请从 yiwang.toml 中删除")
    if unknown := sorted(set(values) - set(Settings.model_fields)):
        raise YiwangError("YW-CONFIG-001", name="、".join(unknown), detail=f"{path} 中没有这样的设置")
    return values


@cache
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        YiwangError: YW-CONFIG-001 with the setting's name, and the file where it stands in one, when a value is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise YiwangError("YW-CONFIG-001", name=_origin(str(first["loc"][0])), detail=said(first)) from error


def _origin(setting: str) -> str:
    """Where a setting's value comes from, as people find it: the environment's variable, or the line of ``yiwang.toml``."""
    variable, set_here = f"YIWANG_{setting.upper()}", {name.upper(): value for name, value in os.environ.items()}
    path = Path(set_here.get("YIWANG_HOME") or Settings.model_fields["home"].default) / "yiwang.toml"
    return variable if variable in set_here or setting not in _from_file(path) else f"{path} 中的 {setting}"
