"""Brings a network's file onto this machine, and checks its hash.

Looked for in the caches that Demucs itself fills (the hub's, then torch's), then fetched: from the hub as safetensors,
else from Demucs's older place as `.th`. Whatever comes is checked before it is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stemwright.checkpoints import manifest
from stemwright.checkpoints.checkpoint import Checkpoint, CheckpointFile
from stemwright.checkpoints.model_info import Member, ModelInfo, OnFetch
from stemwright.errors import ModelError, first_line
from stemwright.machine.hashing import sha256_of
from stemwright.models.architecture import Architectures
from stemwright.models.registry import ARCHITECTURES

_TIMEOUT = 30  # seconds without a byte
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Demucs's released models. See `stemwright.checkpoints.model_info.Source`."""

    origin: str = "hub"
    place: str = "among Demucs's own"
    architectures: Architectures = ARCHITECTURES

    def names(self) -> list[str]:
        """See `Source`."""
        return list(manifest.KNOWN)

    def find(self, name: str) -> ModelInfo:
        """See `Source`."""
        known = manifest.KNOWN[name]
        return ModelInfo(
            name=name,
            description=known.description,
            sources=known.sources,
            licence=manifest.LICENCE,
            source=self,
            members=tuple(Member(signature=sig, path=None) for sig in known.signatures),
            weights=known.weights,
            segment=known.segment,
            repository=f"{manifest.HUB_NAMESPACE}/{known.repository}",
            restricted=True,
        )

    def cached(self, model: ModelInfo, member: Member) -> Checkpoint | None:
        """See `Source`: the caches that Demucs itself fills."""
        from huggingface_hub import try_to_load_from_cache

        assert model.repository is not None
        found = try_to_load_from_cache(model.repository, f"{member.signature}.safetensors")
        if isinstance(found, str):
            return self._checkpoint(member, Path(found))
        legacy = _legacy_cache() / Path(manifest.LEGACY[member.signature]).name
        return self._checkpoint(member, legacy) if legacy.is_file() else None

    def obtain(self, model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Checkpoint:
        """See `Source`."""
        if (here := self.cached(model, member)) is not None:
            return here
        assert model.repository is not None
        tell = on_fetch or (lambda _line: None)
        tell(f"{model.name}: {model.licence}")
        failures = []
        for fetch in (_from_hub, _from_legacy):
            try:
                return self._checkpoint(member, fetch(model.repository, member.signature, tell))
            except ModelError:
                raise
            except Exception as error:  # the hub's client raises dozens of kinds; all of them mean: not from there
                failures.append(
                    f"{fetch.__name__.removeprefix('_from_')}: {first_line(getattr(error, 'reason', None) or error)}"
                )
        raise ModelError(
            f"the model {model.name} is not on this machine and cannot be fetched ({'; '.join(failures)}): connect it to "
            f"the network and run `stemwright models pull {model.name}`, or put its files into a folder and name it with "
            "--models-path; `--model pocket` needs no network",
            code="model_unavailable",
        )

    def renew(self, model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Checkpoint:
        """See `Source`."""
        found = self.obtain(model, member, on_fetch)
        try:
            found.checked_sha256()
        except ModelError:
            if on_fetch is not None:
                on_fetch(f"{model.name}: {found.path} is damaged, and is fetched again")
            _delete(found.path)
            return self.obtain(model, member, on_fetch)
        return found

    def _checkpoint(self, member: Member, file: Path) -> CheckpointFile:
        """A `.th` file's name ends in how its hash begins; of some safetensors files none was published."""
        by_name = file.stem.rsplit("-", 1)[1] if file.suffix == ".th" else None
        published = by_name or manifest.SAFETENSORS_SHA256.get(member.signature)
        return CheckpointFile(path=file, published_sha256=published, architectures=self.architectures)


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
