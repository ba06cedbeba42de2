"""The source "youtube": yt-dlp through its own generic extractor against a local server, and what its words mean."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from origin import Origin, body, serving, status
from service import alive, until

from stemwright_worker.errors import Unavailable
from stemwright_worker.ports.sources import FetchLimits, SourceError, SourceRefused
from stemwright_worker.sources.youtube import YouTubeLimits, YouTubeSource, check_info, command_of
from stemwright_worker.sources.youtube_errors import codes, error_of

LIMITS = FetchLimits(max_bytes=1 << 20, idle_seconds=5.0, total_seconds=90.0)


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("mp3") / "a.mp3"
    sine = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-metadata", "title=A tune"]
    subprocess.run([get_ffmpeg_exe(), "-v", "error", *sine, "-b:a", "64k", str(path)], check=True, timeout=60)
    return path.read_bytes()


@pytest.fixture
def origin(mp3: bytes) -> Iterator[Origin]:
    with serving() as origin:
        origin.answers["/direct/a%20tune.mp3"] = body(mp3, content_type="audio/mpeg")
        page = b"<html><head><title>My \x01 page</title></head><body><audio src='/song.mp3'></audio></body></html>"
        origin.answers["/page"] = body(page, content_type="text/html")
        origin.answers["/song.mp3"] = body(mp3, content_type="audio/mpeg")
        yield origin


@pytest.fixture
def source(tmp_path: Path) -> YouTubeSource:
    return YouTubeSource(YouTubeLimits(max_seconds=600.0, hosts=("127.0.0.1",), folder=tmp_path / "downloads"))


def left(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_direct_file_is_fetched_whole_and_nothing_else_is_left(
    origin: Origin, source: YouTubeSource, tmp_path: Path, mp3: bytes
) -> None:
    into = tmp_path / "input"
    fetched = source.fetch(f"{origin.url}/direct/a%20tune.mp3", into, LIMITS)
    assert into.read_bytes() == mp3
    assert (fetched.size, fetched.sha256) == (len(mp3), hashlib.sha256(mp3).hexdigest())
    assert (fetched.filename, fetched.title) == ("a tune", "a tune")
    assert left(tmp_path) == [into]


def test_a_page_with_audio_is_looked_through(origin: Origin, source: YouTubeSource, tmp_path: Path, mp3: bytes) -> None:
    into = tmp_path / "input"
    fetched = source.fetch(f"{origin.url}/page", into, LIMITS)
    assert into.read_bytes() == mp3
    assert "My" in fetched.filename
    assert fetched.filename.isprintable()


def test_nothing_of_this_machine_is_told(
    origin: Origin, source: YouTubeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".config" / "yt-dlp").mkdir(parents=True)
    (home / ".config" / "yt-dlp" / "config").write_text("--add-header X-Config:told\n--exec 'touch /tmp/never'\n")
    (home / ".netrc").write_text("machine 127.0.0.1 login me password told\n")
    monkeypatch.setenv("HOME", str(home))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    source.fetch(f"{origin.url}/page", tmp_path / "input", LIMITS)
    for _, headers in origin.asked:
        assert not {"x-config", "authorization", "cookie"} & set(headers)
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == [".netrc", "config"]


@pytest.mark.parametrize("announced", [True, False])
def test_too_many_bytes_are_refused_announced_or_not(
    origin: Origin, source: YouTubeSource, tmp_path: Path, mp3: bytes, announced: bool
) -> None:
    large = mp3 * 200
    if announced:
        origin.answers["/large.mp3"] = body(large, content_type="audio/mpeg")
    else:

        def without_length(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "audio/mpeg")
            handler.end_headers()
            handler.wfile.write(large)

        origin.answers["/large.mp3"] = without_length
    with pytest.raises(SourceError) as refused:
        source.fetch(f"{origin.url}/large.mp3", tmp_path / "input", LIMITS)
    assert refused.value.code == "source_too_large"
    assert left(tmp_path) == []


def test_a_host_that_drips_is_given_up_on_and_its_process_ended(
    origin: Origin, source: YouTubeSource, tmp_path: Path
) -> None:
    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        for _ in range(600):
            handler.wfile.write(b"\xff\xfb")
            handler.wfile.flush()
            time.sleep(0.1)

    origin.answers["/slow.mp3"] = drip
    limits = FetchLimits(max_bytes=1 << 20, idle_seconds=30.0, total_seconds=6.0)
    began = time.monotonic()
    with pytest.raises(SourceError) as refused:
        source.fetch(f"{origin.url}/slow.mp3", tmp_path / "input", limits)
    assert (refused.value.code, refused.value.retryable) == ("source_timeout", True)
    assert time.monotonic() - began < 40
    assert left(tmp_path) == []


def test_a_stop_ends_the_whole_group_of_processes(origin: Origin, source: YouTubeSource, tmp_path: Path) -> None:
    origin.answers["/slow.mp3"] = lambda handler: time.sleep(60)
    before = children()  # of services that other tests keep
    seen: list[int] = []

    class StopIt(Exception):
        pass

    def check(done: int, total: int | None) -> None:
        seen.extend(children() - before - set(seen))
        if any(path == "/slow.mp3" for path, _ in origin.asked):
            raise StopIt

    with pytest.raises(StopIt):
        source.fetch(f"{origin.url}/slow.mp3", tmp_path / "input", LIMITS, check=check)
    assert seen
    assert not any(alive(pid) for pid in seen)
    assert left(tmp_path) == []


def test_a_worker_that_is_killed_takes_its_download_with_it(origin: Origin, tmp_path: Path) -> None:
    origin.answers["/slow.mp3"] = lambda handler: time.sleep(60)
    code = (
        "import sys; from pathlib import Path\n"
        "from stemwright_worker.sources.youtube import YouTubeLimits, YouTubeSource, check_info, command_of\n"
        "from stemwright_worker.ports.sources import FetchLimits\n"
        "source = YouTubeSource(YouTubeLimits(max_seconds=1.0, hosts=('127.0.0.1',)))\n"
        "source.fetch(sys.argv[1], Path(sys.argv[2]), FetchLimits(max_bytes=1000))\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, f"{origin.url}/slow.mp3", str(tmp_path / "input")])
    try:
        until(lambda: any(path == "/slow.mp3" for path, _ in origin.asked), what="the download to begin")
        found = children(worker.pid)
    finally:
        worker.kill()
        worker.wait()
    assert found
    until(lambda: not any(alive(pid) for pid in found), what="the download to end")


@pytest.mark.parametrize(
    ("path", "code"),
    [("/missing.mp3", "youtube_removed"), ("/empty", "unsupported_link"), ("/broken.mp3", "source_unreachable")],
)
def test_what_a_host_answers_is_told_apart(
    origin: Origin, source: YouTubeSource, tmp_path: Path, path: str, code: str
) -> None:
    origin.answers["/empty"] = body(b"<html><body>nothing</body></html>", content_type="text/html")
    origin.answers["/broken.mp3"] = status(503)
    with pytest.raises(SourceError) as refused:
        source.fetch(f"{origin.url}{path}", tmp_path / "input", LIMITS)
    assert refused.value.code == code
    assert origin.url not in str(refused.value)


@pytest.mark.parametrize("elsewhere", ["http://localhost:{port}/song.mp3", "http://169.254.169.254/latest/meta-data/"])
def test_a_page_that_leads_inside_is_not_followed(
    origin: Origin, source: YouTubeSource, tmp_path: Path, elsewhere: str
) -> None:
    def redirect(handler: Any) -> None:
        handler.send_response(302)
        handler.send_header("Location", elsewhere.format(port=origin.server_port))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    origin.answers["/song"] = redirect
    with pytest.raises(SourceError) as refused:
        source.fetch(f"{origin.url}/song", tmp_path / "input", LIMITS)
    assert (refused.value.code, refused.value.retryable) == ("source_refused", False)
    assert "/song.mp3" not in [path for path, _ in origin.asked]


def test_a_download_has_limits_that_hold_for_what_it_starts(
    origin: Origin, source: YouTubeSource, tmp_path: Path
) -> None:
    origin.answers["/slow.mp3"] = lambda handler: time.sleep(60)
    seen: dict[str, str] = {}

    class StopIt(Exception):
        pass

    def check(done: int, total: int | None) -> None:
        if any(path == "/slow.mp3" for path, _ in origin.asked):
            for pid in children() - before:
                with suppress(FileNotFoundError, ProcessLookupError):
                    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
                    seen.update((line[:26].strip(), line[26:].split()[1]) for line in lines)
                    status = Path(f"/proc/{pid}/status").read_text()
                    seen["NoNewPrivs"] = status.partition("NoNewPrivs:")[2].split()[0]
            raise StopIt

    before = children()
    with pytest.raises(StopIt):
        source.fetch(f"{origin.url}/slow.mp3", tmp_path / "input", LIMITS, check=check)
    assert (seen["Max data size"], seen["Max core file size"]) == (str(1 << 30), "0")
    assert seen["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    "url",
    [
        "https://vimeo.com/1",
        "https://youtube.com.evil.example/watch?v=x",
        "https://evilyoutube.com/watch?v=x",
        "http://youtube.com/watch?v=x",
        "https://user:pass@youtube.com/watch?v=x",
        "file:///etc/passwd",
        "--exec=id",
        "ytsearch:song",
        "https://youtube.com/watch?v=x --exec id",
        "",
    ],
)
def test_other_links_are_refused_without_a_process(url: str, tmp_path: Path) -> None:
    source = YouTubeSource(YouTubeLimits(max_seconds=600.0))
    with pytest.raises(SourceRefused):
        source.check(url)
    with pytest.raises(SourceRefused):
        source.fetch(url, tmp_path / "input", LIMITS)


@pytest.mark.parametrize(
    "url",
    [
        "https://youtube.com/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=PL1",
        "https://music.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ?t=3",
    ],
)
def test_youtubes_own_links_are_taken_by_its_own_extractor_only(url: str, tmp_path: Path) -> None:
    YouTubeSource(YouTubeLimits(max_seconds=600.0)).check(url)
    command = command_of(url, tmp_path, LIMITS, max_seconds=600.0, port=1)
    assert "--use-extractors=youtube" in command
    assert command[-2:] == ["--", url]


def test_without_yt_dlp_the_install_command_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"stemwright-server\[youtube\]"):
        YouTubeSource(YouTubeLimits(max_seconds=1.0)).fetch("https://youtu.be/x", tmp_path / "input", LIMITS)


# What is printed before a download decides about length and live: no words have to be understood for that.


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({"duration": 601, "live_status": "not_live"}, "youtube_too_long"),
        ({"duration": None, "live_status": "is_live"}, "youtube_live"),
        ({"duration": 10, "live_status": "is_upcoming"}, "youtube_live"),
        ({"duration": 10, "live_status": "post_live"}, "youtube_live"),
        ({"duration": 600, "live_status": "was_live"}, None),
        ({"duration": None}, None),
    ],
)
def test_length_and_live_are_read_from_what_is_known_of_a_video(info: dict[str, Any], code: str | None) -> None:
    if code is None:
        check_info(info, max_seconds=600.0)
        return
    with pytest.raises(SourceError) as refused:
        check_info(info, max_seconds=600.0)
    assert refused.value.code == code


# (file of the installed yt-dlp, words in it, a whole message with them, code). The words have to stand in that file: a
# yt-dlp that words it otherwise fails here, and not at a user's.
FROM_SOURCE = [
    ("extractor.youtube._video", "Your IP is likely being blocked by Youtube", "", "youtube_blocked"),
    ("extractor.youtube._video", "YouTube is requiring a captcha challenge before playback", "", "youtube_blocked"),
    ("extractor.youtube._video", "This content isn't available, try again later", "", "youtube_blocked"),
    ("extractor.youtube._video", "has been rate-limited by YouTube", "", "youtube_blocked"),
    ("extractor.youtube._video", "confirm your age", "Sign in to confirm your age. ", "youtube_age_restricted"),
    ("extractor.youtube._video", "Private video", "", "youtube_private"),
    (
        "extractor.youtube._video",
        "The uploader has not made this video available in your country",
        "Video unavailable. ",
        "youtube_geo_blocked",
    ),
    (
        "extractor.common",
        "This video is not available from your location due to geo restriction",
        "",
        "youtube_geo_blocked",
    ),
    ("utils._utils", "The channel is not currently live", "", "youtube_live"),
    ("utils._utils", "Unsupported URL: ", "", "unsupported_link"),
    ("utils._utils", "Confirm you are on the latest version", "Something new. Please report: ", "youtube_outdated"),
    ("extractor.youtube._video", "Failed to extract any player response", "", "youtube_outdated"),
    ("YoutubeDL", "No video formats found!", "", "unsupported_link"),
    ("YoutubeDL", "Requested format is not available", "", "unsupported_link"),
    ("YoutubeDL", "This video is DRM protected", "", "youtube_drm"),
    ("downloader.http", "File is larger than max-filesize", "", None),
]


@pytest.mark.parametrize(("module", "words", "before", "code"), FROM_SOURCE)
def test_yt_dlps_own_words_are_understood(module: str, words: str, before: str, code: str | None) -> None:
    source = inspect.getsource(importlib.import_module(f"yt_dlp.{module}"))
    assert words in source, "yt-dlp has other words now"
    if code is not None:
        assert error_of(f"ERROR: [youtube] dQw4w9WgXcQ: {before}{words}").code == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        # YouTube's own words, as yt-dlp passes them on.
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies for the ...", "youtube_blocked"),  # noqa: RUF001
        ("Private video. Sign in if you've been granted access to this video", "youtube_private"),
        ("Video unavailable. This video is private", "youtube_private"),
        ("Video unavailable. This video has been removed by the uploader", "youtube_removed"),
        ("Video unavailable. This video is no longer available because the YouTube account associated with this video "
         "has been terminated.", "youtube_removed"),
        ("Video unavailable. This video is no longer available due to a copyright claim by X", "youtube_removed"),
        ("This video has been removed for violating YouTube's policy", "youtube_removed"),
        ("Join this channel to get access to members-only content like this video", "youtube_members_only"),
        ("This video is available to this channel's members on level: X", "youtube_members_only"),
        ("This live event will begin in 2 hours.", "youtube_live"),
        ("Premieres in 35 minutes", "youtube_live"),
        ("This live stream recording is not available.", "youtube_live"),
        ("Video unavailable. The uploader has not made this video available in your country", "youtube_geo_blocked"),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", "youtube_age_restricted"),
        ("Video unavailable", "youtube_unavailable"),
        ("Unable to download API page: HTTP Error 429: Too Many Requests", "youtube_blocked"),
        ("Unable to download API page: [Errno 111] Connection refused (caused by ...)", "source_unreachable"),
        ("Unable to download webpage: The read operation timed out", "source_timeout"),
        ("Unable to download API page: HTTP Error 503: Service Unavailable; please report this issue on ...",
         "source_unreachable"),
        ("Requested format is not available. Use --list-formats", "unsupported_link"),
        ("", "source_error"),
    ],
)  # fmt: skip
def test_youtubes_words_are_told_apart(said: str, code: str) -> None:
    error = error_of(f"ERROR: [youtube] dQw4w9WgXcQ: {said}" if said else "")
    assert error.code == code
    assert error.retryable == (code in ("source_unreachable", "source_timeout"))
    assert str(error).endswith(".")
    assert "yt-dlp -U" not in str(error)  # words for the caller, not for the operator


def test_every_code_is_documented() -> None:
    server = Path(__file__).resolve().parents[3] / "server" / "src" / "stemwright_server"
    page = (server / "dialects" / "stemify" / "README.md").read_text()
    for code in (*codes(), "youtube_too_long", "unsupported_host", "youtube_not_installed"):
        assert f"`{code}`" in page, code


def children(pid: int | None = None) -> set[int]:
    """All processes below one."""
    found: set[int] = set()
    with suppress(FileNotFoundError, ProcessLookupError):  # what ends while we look
        for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                for child in map(int, (task / "children").read_text().split()):
                    found |= {child} | children(child)
    return found
