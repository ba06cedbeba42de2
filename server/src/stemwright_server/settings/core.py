"""The settings of the service itself: address, callers, caps."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from stemwright_server.settings_section import Names, Section, long_enough

DEVELOPMENT_SECRET = "supersecret123"  # noqa: S105
"""Of the orchestrator's documents. Everybody knows it, so it is for one's own machine alone: ``serve`` sees to that."""


class CoreSettings(Section):
    """The service."""

    env_file: str = Field(
        ".env",
        description="File of settings, read at the start if it is there; what the environment says wins. Empty: none.",
    )
    host: str = Field(
        "127.0.0.1", validation_alias="HOST", description="Address to listen on, unless `--host` says otherwise."
    )
    port: int = Field(
        8080, ge=0, le=65535, validation_alias="PORT", description="Port to listen on, unless `--port` says otherwise."
    )
    data_dir: Path = Field(Path("data"), description="Folder of the job store, the uploads and the outputs.")
    public_url: str | None = Field(
        None,
        description="Address under which clients reach the API, if a proxy stands before it; else as requested, and in "
        "webhooks the address that the request came in at.",
    )
    api_cors_origins: Names = Field(
        (),
        validation_alias="API_CORS_ORIGINS",
        description="Web origins that may call from a browser, comma-separated.",
    )
    redis_url: SecretStr | None = Field(
        None,
        validation_alias="REDIS_URL",
        description="A Redis that several API processes share: counts of rate limits, live events.",
    )
    redis_db: int = Field(
        0, ge=0, validation_alias="REDIS_DB", description="The database in REDIS_URL, where that names none."
    )
    allowed_hosts: Names = Field(
        (),
        description="Host names that requests may be addressed to, comma-separated: by callers, workers elsewhere and "
        "Prometheus. Empty: any; only those of loopback while nobody has to authenticate.",
    )

    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, "
        "comma-separated. Empty: nobody's.",
    )

    jwt_secret: SecretStr | None = Field(
        None,
        validation_alias="JWT_SECRET",
        description="Key of callers' tokens (32 characters at least). Set: tokens are required. `supersecret123`, which is in "
        "documents, is taken on loopback with ENVIRONMENT=local, and nowhere else.",
    )
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        "HS256", validation_alias="JWT_ALGORITHM", description="The one algorithm a token may be signed with."
    )
    jwt_audience: str | None = Field(None, validation_alias="JWT_AUDIENCE", description="Audience a token must name.")
    jwt_issuer: Names = Field(
        (),
        validation_alias="JWT_ISSUER",
        description="Issuers a token may name, comma-separated. Without JWT_SECRET: URLs of OpenID Connect issuers, whose "
        "keys (RS256, ES256, EdDSA) are found by discovery and fetched. Set: tokens are required.",
    )
    jwt_jwks_url: Names = Field(
        (),
        validation_alias="JWT_JWKS_URL",
        description="Key sets in place of discovery: one for each of JWT_ISSUER in its order, or one without JWT_ISSUER, "
        "for whatever issuer its keys sign. Set: tokens are required.",
    )
    jwt_keys_seconds: float = Field(
        300.0,
        ge=5.0,
        validation_alias="JWT_KEYS_SECONDS",
        description="Time from one fetch of an issuer's keys to the next; a key that is not known is asked for at once.",
    )
    jwt_keys_hold_seconds: float = Field(
        86400.0,
        gt=0,
        validation_alias="JWT_KEYS_HOLD_SECONDS",
        description="How long the keys of an issuer that does not answer count on; afterwards its callers get 503.",
    )
    jwt_roles_claim: str = Field(
        "roles",
        min_length=1,
        validation_alias="JWT_ROLES_CLAIM",
        description="Claim of a token that lists the caller's roles; with dots for one within another: "
        "`realm_access.roles`. The role `admin` is what the admin API asks for.",
    )
    jwt_secret_previous: SecretStr | None = Field(
        None,
        validation_alias="JWT_SECRET_PREVIOUS",
        description="The key before, still accepted while those who make tokens change over.",
    )
    worker_secret_previous: SecretStr | None = Field(
        None, description="The key before, still accepted while workers change over."
    )

    max_file_size: int = Field(1 << 30, gt=0, validation_alias="MAX_FILE_SIZE", description="Cap on an upload, bytes.")
    max_duration: float = Field(
        7200.0, gt=0, validation_alias="MAX_DURATION", description="Cap on decoded audio, seconds."
    )
    min_free_bytes: int = Field(
        1 << 30, ge=0, description="With less free on the disk, uploads and new jobs are answered with 507."
    )
    upload_seconds: float = Field(3600.0, gt=0, description="From announcing a file to the end of its upload.")
    url_seconds: float = Field(3600.0, gt=0, description="How long a download URL holds.")
    upload_retention: float = Field(
        7 * 86400.0, gt=0, description="Uploads are removed so long after their last use, s."
    )
    output_retention: float = Field(
        30 * 86400.0, gt=0, description="Jobs and outputs are removed so long after the end, s."
    )

    lease_seconds: float = Field(60.0, gt=0, description="Silence after which a worker is taken for dead.")
    job_seconds: float = Field(3600.0, gt=0, le=80000.0, description="How long an attempt may take.")
    max_attempts: int = Field(3, ge=1, description="Crashed attempts before a job fails for good.")
    retry_seconds: float = Field(
        2.0, ge=0, description="Wait before the second attempt; doubles with each further one."
    )
    sweep_seconds: float = Field(2.0, gt=0, description="Time between two rounds of cleaning up.")

    @property
    def sign_in(self) -> bool:
        """Whether callers have to prove who they are by a token."""
        return self.jwt_secret is not None or bool(self.jwt_issuer or self.jwt_jwks_url)

    @property
    def own_machine(self) -> bool:
        """Whether nobody signs in and only this machine reaches the service: it is for whoever sits there."""
        try:
            loopback = self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            loopback = False
        elsewhere = self.public_url or self.allowed_hosts or self.trusted_proxies  # a proxy leads others to it
        return loopback and not self.sign_in and not elsewhere

    @model_validator(mode="after")
    def _one_way_to_trust(self) -> Self:
        issuers, key_sets = self.jwt_issuer, self.jwt_jwks_url
        if self.jwt_secret is not None and key_sets:
            raise ValueError("set JWT_SECRET or JWT_JWKS_URL: callers' tokens are trusted in one way, not in two")
        if len(key_sets) > 1 and len(key_sets) != len(issuers):
            raise ValueError(
                f"JWT_JWKS_URL has {len(key_sets)} key sets and JWT_ISSUER {len(issuers)} issuers: give one for each"
            )
        if len(issuers) > 1 and len(key_sets) == 1:
            raise ValueError("JWT_JWKS_URL has one key set and JWT_ISSUER several issuers: give one for each, or none")
        if len(set(issuers)) != len(issuers):
            raise ValueError("JWT_ISSUER names an issuer twice")
        return self

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough_or_known(cls, value: SecretStr | None) -> SecretStr | None:
        known = value is not None and value.get_secret_value() == DEVELOPMENT_SECRET
        return value if known else long_enough(value)

    @property
    def secret_is_known(self) -> bool:
        """Whether JWT_SECRET is the one of the documents."""
        return self.jwt_secret is not None and self.jwt_secret.get_secret_value() == DEVELOPMENT_SECRET

    @field_validator("jwt_secret_previous", "worker_secret_previous")
    @classmethod
    def _previous_is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        return long_enough(value)
