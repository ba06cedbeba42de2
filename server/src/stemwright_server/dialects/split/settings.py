"""The settings of the split dialect, under the names that its documents use."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from stemwright_server.settings_section import Section, long_enough


class SplitSettings(Section):
    """The split dialect."""

    demucssvc_token: SecretStr | None = Field(
        None,
        validation_alias="DEMUCSSVC_TOKEN",
        description="Key that callers of POST /split sign with, and that webhooks are signed with (32 characters at "
        "least). Unset: the dialect is off.",
    )
    demucssvc_token_previous: SecretStr | None = Field(
        None,
        validation_alias="DEMUCSSVC_TOKEN_PREVIOUS",
        description="The key before, still accepted while callers change over.",
    )

    @field_validator("demucssvc_token", "demucssvc_token_previous", mode="before")
    @classmethod
    def _empty_token_is_unset(cls, value: object) -> object:
        """``DEMUCSSVC_TOKEN=`` stands in the documents' own .env."""
        return None if value == "" else value

    @field_validator("demucssvc_token", "demucssvc_token_previous")
    @classmethod
    def _token_is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        return long_enough(value)

    @property
    def split_tokens(self) -> list[str]:
        """Those that hold now, the current one first; none if there is no current one."""
        both = (self.demucssvc_token, self.demucssvc_token_previous)
        return [each.get_secret_value() for each in both if each is not None] if self.demucssvc_token else []
