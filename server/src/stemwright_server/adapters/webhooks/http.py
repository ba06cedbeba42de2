"""Sending a webhook: one POST under the guard of every request to a stranger, and its answer in our words."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Collection, Mapping

from stemwright_server.domain.delivery import Result
from stemwright_worker.net.addresses import parse
from stemwright_worker.net.outbound import Outbound, OutboundFailed, OutboundNever, OutboundRefused


class HttpWebhooks:
    """Implements ports.deliveries.WebhookSender."""

    def __init__(self, listed: Collection[str], *, seconds: float, outbound: Outbound | None = None) -> None:
        """``listed``: URLs that the operator trusts; they may be plain http or private. ``seconds``: for one try."""
        self._outbound = outbound or Outbound([parse(url).origin for url in listed])
        self._seconds = seconds

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Result:
        sized = dict(headers) | {"Content-Length": str(len(body))}
        try:
            answer = self._outbound.send(
                "POST", url, headers=sized, content=body, seconds=self._seconds, idle_seconds=self._seconds
            )
        except OutboundNever as error:
            return Result(error=str(error), final=True)
        except (OutboundRefused, OutboundFailed) as error:  # names and certificates are mended in less than three days
            return Result(error=str(error))
        if 200 <= answer.status < 300:
            return Result(status=answer.status)
        return Result(
            status=answer.status,
            error=f"The receiver answered {answer.status}.",
            retry_after=_seconds(answer.headers.get("retry-after", "")),
        )


def _seconds(retry_after: str) -> float | None:
    """The header's two spellings: seconds, or a date."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
