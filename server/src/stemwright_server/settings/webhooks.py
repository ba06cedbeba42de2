"""The settings of webhooks: where they may go, how they are signed, how long they are tried."""

from __future__ import annotations

import base64
import binascii

from pydantic import Field, SecretStr, field_validator

from stemwright_server.settings_section import Names, Section

WHSEC = "whsec_"  # what a secret of Standard Webhooks begins with; base64 of 24 to 64 bytes follows


class WebhookSettings(Section):
    """Webhooks."""

    api_webhook_url_allowlist: Names = Field(
        ("https://api.track-tree.com/webhooks/demucs",),
        validation_alias="API_WEBHOOK_URL_ALLOWLIST",
        description="URLs that webhooks may go to, comma-separated, each spelled exactly as callers give it. One that "
        "stands here may be plain http or private.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        validation_alias="WEBHOOK_SECRET",
        description="Key of the Standard Webhooks signature, `whsec_` and base64. Unset: the bytes of DEMUCSSVC_TOKEN.",
    )
    webhook_secret_previous: SecretStr | None = Field(
        None,
        validation_alias="WEBHOOK_SECRET_PREVIOUS",
        description="The key before: webhooks are signed with both while receivers change over.",
    )
    webhook_seconds: float = Field(15.0, gt=0, description="How long a receiver may take to answer a webhook.")
    webhook_senders: int = Field(8, ge=1, le=64, description="Webhooks that are sent at once.")
    webhook_tries: int = Field(14, ge=1, description="Tries of a webhook before it is a dead letter.")
    webhook_retry_seconds: float = Field(
        5.0, gt=0, description="Wait before the second try; four times as long before each further one, at most 12 h."
    )

    @field_validator("api_webhook_url_allowlist")
    @classmethod
    def _are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from stemwright_worker.net.addresses import parse
        from stemwright_worker.ports.sources import SourceRefused

        for url in value:
            try:
                parse(url)
            except SourceRefused as error:
                raise ValueError(f"{url!r}: {error}") from error
        return value

    @field_validator("webhook_secret", "webhook_secret_previous", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("webhook_secret", "webhook_secret_previous")
    @classmethod
    def _standard(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not 24 <= len(webhook_key(value.get_secret_value())) <= 64:
            raise ValueError(
                f"has to be {WHSEC} and base64 of 24 to 64 bytes; make one with: echo {WHSEC}$(openssl rand -base64 32)"
            )
        return value


def webhook_key(secret: str) -> bytes:
    """The bytes of a Standard Webhooks secret; none if it is not spelled as one."""
    if not secret.startswith(WHSEC):
        return b""
    try:
        return base64.b64decode(secret.removeprefix(WHSEC), validate=True)
    except binascii.Error:
        return b""
