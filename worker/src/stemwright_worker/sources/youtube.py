"""Fetching the sound of a video by yt-dlp: a child process with limits, never a shell, in the worker only.

It gets no configuration, proxy, cookie, cache or plug-in of this machine, and a private folder that is removed. Its
way to the network is a proxy of ours that leads to public addresses only, and to the hosts that the operator named.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stemwright_worker.errors import StorageFull, Unavailable
from stemwright_worker.net.addresses import Target, parse
from stemwright_worker.net.socks import SocksProxy
from stemwright_worker.ports.sources import (
    YOUTUBE_HOSTS,
    Fetched,
    FetchLimits,
    SourceError,
    SourceRefused,
    SourceTimeout,
    SourceTooLarge,
)
from stemwright_worker.sources.youtube_errors import error_of

_POLL = 0.1  # seconds between two looks at the child
_MEDIA = "media"  # the downloaded file's name, less its extension
_MAX_NAME = 200
_MAX_LOG = 1 << 20
_LIVE = ("is_live", "is_upcoming", "post_live")
_FORMATS = "bestaudio[protocol^=http]/best[protocol^=http]/bestaudio/best"
_FLAGS = (
    "--ignore-config",
    "--no-plugin-dirs",
    "--no-playlist",
    "--playlist-items=1",  # of a page with several
    "--no-cache-dir",
    "--no-remote-components",
    "--no-cookies",
    "--no-cookies-from-browser",
    "--no-mtime",
    "--no-part",  # the folder is private: what is there at the end of a failed run is removed with it
    "--no-quiet",
    "--no-progress",
    "--no-simulate",
    "--no-write-subs",
    "--no-exec",
    "--no-overwrites",
    "--fixup=never",
    "--color=no_color",
    "--retries=3",
    "--extractor-retries=2",
    "--file-access-retries=0",
    "--print=pre_process:%(.{title,duration,live_status,_type})j",
)


@dataclass(frozen=True, kw_only=True)
class YouTubeLimits:
    """What this source takes, beside the limits of the fetch."""

    max_seconds: float  # of a video, where its length is known; the decoder looks again
    total_seconds: float = 600.0  # how long a download may take
    hosts: tuple[str, ...] = YOUTUBE_HOSTS  # subdomains count; plain http only to other hosts than YouTube's
    folder: Path | None = None  # where private folders are made; None: beside the file that is fetched


class YouTubeSource:
    """Implements ports.sources.SourceFetcher."""

    def __init__(self, limits: YouTubeLimits) -> None:
        self._limits = limits

    def check(self, url: str) -> None:
        """Implements ``ports.sources``: by host and scheme, without asking the network."""
        target = parse(url)
        if not _is_of(target, self._limits.hosts):
            known = ", ".join(self._limits.hosts) or "none"
            raise SourceRefused(f"Links to {target.host} are not taken; to: {known}.", code="unsupported_host")
        if target.scheme != "https" and _is_of(target, YOUTUBE_HOSTS):
            raise SourceRefused(f"The link to {target.host} has to begin with https://.")

    def fetch(
        self, url: str, into: Path, limits: FetchLimits, *, check: Callable[[int, int | None], None] = lambda *_: None
    ) -> Fetched:
        """Implements ``ports.sources``: by yt-dlp, in a process of its own."""
        self.check(url)
        limits = replace(limits, total_seconds=min(limits.total_seconds, self._limits.total_seconds))
        if importlib.util.find_spec("yt_dlp") is None:
            raise Unavailable(
                "This worker has no yt-dlp: pip install 'stemwright-server[youtube]'.", code="youtube_not_installed"
            )
        with self._private_folder(into) as folder:
            status = self._run(url, folder, limits, check)
            said = _tail(folder / "log" / "err") + _tail(folder / "log" / "out")
            info = _info(folder / "log" / "out")
            check_info(info, max_seconds=self._limits.max_seconds)
            file = _downloaded(folder / "files", limits)
            if file is None or status != 0:
                raise _failure(said, limits)
            digest = _move(file, into)
            title = "".join(each for each in str(info.get("title") or "") if each.isprintable()).strip()
            title = title[:_MAX_NAME] or "video"
            return Fetched(size=into.stat().st_size, sha256=digest, filename=title, content_type="", title=title)

    @contextmanager
    def _private_folder(self, into: Path) -> Iterator[Path]:
        parent = self._limits.folder or into.parent
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="video-", dir=parent))  # for this user only
        try:
            for name in ("files", "home", "log"):
                (folder / name).mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, url: str, folder: Path, limits: FetchLimits, check: Callable[[int, int | None], None]) -> int:
        """Wait for the child, and end it and all that it started if it goes too far or is not wanted any more."""
        deadline = time.monotonic() + limits.total_seconds
        trusted = [host for host in self._limits.hosts if host not in YOUTUBE_HOSTS]
        with (
            SocksProxy(trusted) as proxy,
            (folder / "log" / "out").open("wb") as out,
            (folder / "log" / "err").open("wb") as err,
        ):
            command = command_of(url, folder, limits, max_seconds=self._limits.max_seconds, port=proxy.port)
            environment = _environment(folder / "home", proxy.url)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=folder / "home",
                start_new_session=True,
            )
            try:
                while process.poll() is None:
                    size = _size(folder)
                    check(size, None)
                    if time.monotonic() > deadline:
                        raise SourceTimeout(f"The download took more than {limits.total_seconds:g} s.")
                    if size > limits.max_bytes + _MAX_LOG:
                        raise _too_large(limits)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_POLL)
                return process.returncode
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def command_of(url: str, folder: Path, limits: FetchLimits, *, max_seconds: float, port: int) -> list[str]:
    """The child that fetches a video of at most ``max_seconds`` into ``folder``/files, by a proxy at ``port``."""
    extractors = "youtube" if _is_of(parse(url), YOUTUBE_HOSTS) else "default"  # never a playlist, nor a redirect
    seconds = max(1, round(limits.total_seconds))
    child = "stemwright_worker.sources.youtube_child"
    caps = [str(max(limits.max_bytes, _MAX_LOG) + 1), str(seconds), str(os.getpid()), str(port), str(folder)]
    return [
        *(sys.executable, "-I", "-m", child, *caps),
        *_FLAGS,
        f"--use-extractors={extractors}",
        f"--socket-timeout={limits.idle_seconds:g}",
        f"--max-filesize={limits.max_bytes}",
        # A length that is not known passes: the decoder looks again.
        f"--match-filters=!is_live & live_status!=?is_upcoming & duration<=?{max_seconds:g}",
        f"--format={_FORMATS}",
        f"--paths={folder / 'files'}",
        f"--output={_MEDIA}.%(ext)s",
        "--",
        url,
    ]


def check_info(info: Mapping[str, Any], *, max_seconds: float) -> None:
    """By what yt-dlp knows of a video.

    Raises:
        SourceError: It is live, or longer than ``max_seconds``.
    """
    if info.get("live_status") in _LIVE:
        raise error_of("is_live")
    duration = info.get("duration")
    if isinstance(duration, int | float) and duration > max_seconds:
        raise SourceError(
            f"The video is {duration:.0f} s long; at most {max_seconds:.0f} s are taken.",
            code="youtube_too_long",
        )


def _is_of(target: Target, hosts: Collection[str]) -> bool:
    return any(target.host == host or target.host.endswith(f".{host}") for host in hosts)


def _environment(home: Path, proxy: str) -> dict[str, str]:
    """Nothing of ours: no credentials, no proxy but this one. The path leads to a JavaScript runtime, if there is one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    kept = {name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ}
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "all_proxy": proxy, **kept}


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(root) / name).lstat().st_size
    return total


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        return file.read().decode(errors="replace")


def _info(path: Path) -> dict[str, Any]:
    """The line that was printed before anything was downloaded; empty if it did not come to that."""
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            with suppress(ValueError):
                found = json.loads(line)
                return found if isinstance(found, dict) else {}
    return {}


def _downloaded(folder: Path, limits: FetchLimits) -> Path | None:
    files = [path for path in folder.iterdir() if path.is_file() and path.name.startswith(f"{_MEDIA}.")]
    if len(files) != 1 or files[0].stat().st_size == 0:
        return None
    if files[0].stat().st_size > limits.max_bytes:
        raise _too_large(limits)
    return files[0]


def _failure(said: str, limits: FetchLimits) -> Exception:
    if "larger than max-filesize" in said or "File too large" in said:
        return _too_large(limits)  # over --max-filesize yt-dlp leaves no file, and calls that a success
    if "No space left on device" in said:
        return StorageFull("No room left on the disk for the download.")
    return error_of(said)


def _too_large(limits: FetchLimits) -> SourceTooLarge:
    return SourceTooLarge(f"The video's sound has more than the {limits.max_bytes} bytes taken.")


def _move(file: Path, into: Path) -> str:
    """Move the file, maybe to another disk; its hex sha256."""
    part = into.with_name(into.name + ".part")
    try:
        shutil.move(file, part)
        with part.open("rb") as moved:
            digest = hashlib.file_digest(moved, "sha256").hexdigest()
        part.replace(into)
    finally:
        part.unlink(missing_ok=True)
    return digest
