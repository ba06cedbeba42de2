"""What yt-dlp says when it gets no file, told apart: it has words for people, a program needs a code."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stemwright_worker.ports.sources import SourceError, SourceTimeout, SourceUnreachable


@dataclass(frozen=True, kw_only=True)
class _Kind:
    code: str
    words: str  # for the caller: what is wrong with the link, and what to do
    said: str  # regular expression of what YouTube or yt-dlp says, without regard to case


# The first that fits counts, so what is said more exactly stands before what is said of everything.
_KINDS = (
    _Kind(
        code="youtube_blocked",
        words="YouTube does not let this server download now: it asks for a proof that no robot calls. Try again in some "
        "hours, or upload the file.",
        said=r"not a bot|captcha challenge|rate-limited by youtube|IP is likely being blocked|HTTP Error 429"
        r"|content isn.t available, try again later",
    ),
    _Kind(
        code="source_refused",
        words="The link leads to an address that this server does not fetch from. Give a public one.",
        said=r"not allowed by ruleset",  # what SOCKS calls the proxy's refusal
    ),
    _Kind(
        code="youtube_age_restricted",
        words="The video is for signed-in adults only; this service has no account. Upload the file.",
        said=r"confirm your age|age.restricted|inappropriate for some users|age_verification_required",
    ),
    _Kind(
        code="youtube_private",
        words="The video is private. Make it public or unlisted, or upload the file.",
        said=r"private video|video is private",
    ),
    _Kind(
        code="youtube_members_only",
        words="The video is for paying members only. Upload the file.",
        said=r"members.only|channel's members|join this channel|requires payment|music premium members|rental video"
        r"|only available to",
    ),
    _Kind(
        code="youtube_live",
        words="The video is live, or has not begun yet. Try again when it is over and can be watched as a recording.",
        said=r"live event (will begin|has ended)|premieres? (in|will begin)|not currently live|is_live|"
        r"live stream recording is not available|this live stream",
    ),
    _Kind(
        code="youtube_geo_blocked",
        words="The video is not available in the country of this server. Upload the file.",
        said=r"not made this video available in your country|blocked it in your country|geo.?restriction"
        r"|not available in your (country|location)|available in your country",
    ),
    _Kind(
        code="youtube_removed",
        words="The video was removed. Check the link.",
        said=r"has been removed|no longer available|account (associated with this video )?has been terminated"
        r"|copyright (claim|grounds)|removed by the uploader|HTTP Error 4(04|10)",
    ),
    _Kind(
        code="youtube_drm",
        words="The video is protected against copying. Upload the file, if you have one.",
        said=r"DRM protected",
    ),
    _Kind(
        code="unsupported_link",
        words="There is no single video or audio under this link. Give the address of one video.",
        said=r"unsupported url|is not a valid url|no suitable extractor|no video formats found|incomplete youtube id"
        r"|requested format is not available|no media",
    ),
    _Kind(
        code="youtube_outdated",
        words="YouTube has changed and this server's yt-dlp does not understand it any more. Its operator can update "
        "yt-dlp; until then, upload the file.",
        said=r"please report this issue|nsig extraction failed|signature extraction failed|confirm you are on the latest"
        r"|failed to extract any player response|cannot identify player|n challenge solving failed",
    ),
    _Kind(
        code="youtube_unavailable",
        words="YouTube says that the video is unavailable. Check the link.",
        said=r"video unavailable|video is unavailable|isn.t available|is not available",
    ),
)
_NETWORK = re.compile(
    r"unable to download|timed out|connection (refused|reset|aborted)|name resolution|failed to resolve|"
    r"host unreachable|HTTP Error 5\d\d|incompleteread|bytes read, |remote end closed|network is unreachable|temporary failure"
    r"|ssl",
    re.IGNORECASE,
)
_TIMED_OUT = re.compile(r"timed out", re.IGNORECASE)


def error_of(said: str) -> SourceError:
    """The error that yt-dlp's words stand for. Passing faults of the network are retryable."""
    for kind in _KINDS[:-2]:
        if re.search(kind.said, said, re.IGNORECASE):
            return SourceError(kind.words, code=kind.code)
    # yt-dlp asks to report what it did not expect, a cut connection among it: the network is asked about first.
    if _NETWORK.search(said):
        if _TIMED_OUT.search(said):
            return SourceTimeout("The video's host is too slow; try again later.")
        return SourceUnreachable("The video's host cannot be reached, or hung up; try again later.")
    for kind in _KINDS[-2:]:
        if re.search(kind.said, said, re.IGNORECASE):
            return SourceError(kind.words, code=kind.code)
    return SourceError("The video could not be fetched, and yt-dlp does not say why. Upload the file.")


def codes() -> tuple[str, ...]:
    """All codes that ``error_of`` tells apart, for the documentation."""
    return tuple(kind.code for kind in _KINDS)
