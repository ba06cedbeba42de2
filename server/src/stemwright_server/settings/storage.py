"""The settings of storage: where uploads and outputs lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from stemwright_server.settings_section import Section

if TYPE_CHECKING:
    from stemwright_server.adapters.blobs.s3_client import S3Options

LOCALSTACK = "http://localhost:4566"


class StorageSettings(Section):
    """Storage."""

    environment: str = Field(
        "local",
        validation_alias="ENVIRONMENT",
        description="`local`: without an endpoint or keys of its own, the bucket is LocalStack's at "
        "`http://localhost:4566`. Anything else: it is Amazon's. `production` or `prod`: models with research weights need "
        "DEMUCS_WEIGHTS_LICENCE_ACCEPTED as well.",
    )
    s3_bucket: str = Field(
        "",
        validation_alias="S3_BUCKET",
        description="Bucket for uploads and outputs, in S3, R2 or what speaks like them. Empty: files in the data folder.",
    )
    s3_endpoint: str = Field(
        "", validation_alias="S3_ENDPOINT", description="Address of the store, if it is not Amazon's own."
    )
    s3_public_endpoint: str = Field(
        "",
        validation_alias="S3_PUBLIC_ENDPOINT",
        description="Address of the store as callers reach it, if not as the service and its workers do.",
    )
    s3_region: str = Field(
        "us-east-1", validation_alias="S3_REGION", description="Region of the bucket; R2's is `auto`."
    )
    s3_access_key_id: SecretStr | None = Field(
        None,
        validation_alias="S3_ACCESS_KEY_ID",
        description="Key of the bucket. Unset: what boto3 finds by itself, such as the role of the machine.",
    )
    s3_secret_access_key: SecretStr | None = Field(
        None, validation_alias="S3_SECRET_ACCESS_KEY", description="The key's secret."
    )

    part_bytes: int = Field(
        64 << 20,
        ge=5 << 20,
        le=5 << 30,
        description="Workers upload stems of more bytes than this to the bucket in parts of this size (S3 takes 5 GiB in "
        "one piece). A part that fails is sent again by itself.",
    )

    def s3_options(self) -> S3Options | None:
        """The bucket to use, or None for local files."""
        from stemwright_server.adapters.blobs.s3_client import S3Options

        if not self.s3_bucket:
            return None
        key, secret = self.s3_access_key_id, self.s3_secret_access_key
        # Said or not said, "local" is the default; keys without it mean a bucket that is not LocalStack's.
        said = "environment" in self.model_fields_set
        local = self.environment == "local" and not self.s3_endpoint and (said or key is None)
        return S3Options(
            bucket=self.s3_bucket,
            endpoint=self.s3_endpoint or (LOCALSTACK if local else None),
            region=self.s3_region,
            access_key_id=key.get_secret_value() if key else ("test" if local else None),
            secret_access_key=secret.get_secret_value() if secret else ("test" if local else None),
        )
