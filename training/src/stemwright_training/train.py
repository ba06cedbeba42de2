"""The training loop: runs for a budget of seconds, keeps its state on disk, and goes on from there after any kind of end."""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from stemwright.models.bandnet.network import BANDS, BandNet

from .batches import Songs, make_batch
from .score import STEMS

_WORTH = {"drums": 0.8, "bass": 1.2, "other": 4.0, "vocals": 0.8}  # of a dB: the hardest stem counts more


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How long and how to train. `seconds` counts wall-clock seconds of training over all sessions."""

    seconds: float
    batch: int = 6
    clip: float = 3.0  # seconds
    rate: float = 2e-3  # the highest learning rate
    warmup: float = 0.03  # share of the budget
    decay: float = 0.998  # of the moving average of the weights
    seed: int = 1
    save_every: float = 60.0  # seconds
    through_waves: float = 0.06  # the last share of the budget: BandNet is trained through the inverse transform
    threads: int = 1  # parts of a batch computed side by side, each by one thread; on a GPU: 1


def negative_snr(estimate: Tensor, target: Tensor) -> Tensor:
    """The loss, in dB: error over source energy for each source, [B, S, 2, T] to a number.

    A floor of 25 dB below the mix keeps silent sources finite and stops rewarding what nobody hears.
    """
    error = (estimate - target).square().sum((2, 3))
    energy = target.square().sum((2, 3))
    floor = 0.003 * target.sum(1).square().sum((1, 2))[:, None] + 1e-6
    return _in_decibels(error, energy, floor)


def _in_decibels(error: Tensor, energy: Tensor, floor: Tensor) -> Tensor:
    """Mean error over energy, in dB, where a source that is badly separated counts up to three times, and `other` more still.

    A dB of error is worth 1 / (1 - error / energy) dB of SI-SDR, if the estimate is as small as its error demands.
    """
    ratio = (error + 0.003 * energy + 0.1 * floor) / (energy + floor)
    worth = ratio.new_tensor([_WORTH[stem] for stem in STEMS]) / (1 - ratio.detach()).clamp(min=1 / 3)
    return (worth * 10 * torch.log10(ratio)).sum() / worth.sum()


def spectral_negative_snr(network: BandNet, stems: Tensor, first: int = 0, every: int = 1) -> Tensor:
    """The same loss for BandNet, taken in the spectrogram: no inverse transform, and bins that share a mask are summed first.

    Neighbouring frames overlap by three quarters, so that every second frame (`every` 2, from `first`) says nearly as
    much as all do, for half of the work around the U-Net.
    With masks m and n on mid x and side y of the mix, the error energy of a channel s of a source is the sum of
    m² |x|² + n² |y|² + 2 m n Re(x* y) - 2 m Re(x* s) - 2 n Re(y* s) + |s|².
    """
    with torch.no_grad():
        whole = network.spectrum(stems.sum(1))
        sources = network.spectrum(stems.flatten(0, 1), first, every)
        sources = sources.view(*stems.shape[:2], *sources.shape[1:])
        energy = _energy(sources)
        sources, mix = sources[..., :-1, :], whole[:, :, :-1, first::every]
        power = _real_products(mix, mix)
        common = _real_products(mix[:, None], sources)
        floor = 0.003 * (power[:, 0, 0] + power[:, 1, 1]).sum((1, 2))[:, None] + 1e-3
    error, at = energy, 0
    for masks, (count, width, share) in zip(network.masks(whole, first, every), BANDS, strict=True):
        bins = slice(at, at + count * width)
        own, both = power[:, None, ..., bins, :], common[..., bins, :]
        if share > 1:
            own, both = _summed(own, share), _summed(both, share)
        rest = torch.eye(2).to(masks)[:, :, None, None] - masks.sum(1, keepdim=True)
        masks = masks + rest / masks.shape[1]
        mid, side = masks.unbind(3)  # what each channel of a source takes from mid and from side
        part = mid * (mid * own[:, :, :1, 0] + 2 * side * own[:, :, :1, 1] - 2 * both[:, :, :, 0])
        part = part + side * (side * own[:, :, 1:, 1] - 2 * both[:, :, :, 1])
        error = error + part.sum((2, 3, 4))
        at += count * width
    return _in_decibels(error.clamp(min=0), energy, floor)


def _real_products(mix: Tensor, other: Tensor) -> Tensor:
    """Re(mix* other) of each channel of `other` with each channel of the mix: complex [..., 2, F, T] to [..., 2, 2, F, T]."""
    mix, other = mix.unsqueeze(-4), other.unsqueeze(-3)
    return mix.real * other.real + mix.imag * other.imag


def _summed(x: Tensor, share: int) -> Tensor:
    """Sums each `share` neighbours in frequency, [..., F, T] to [..., F / share, T]."""
    return x.reshape(*x.shape[:-2], -1, share, x.shape[-1]).sum(-2)


def _energy(spectra: Tensor) -> Tensor:
    """The energy of each source of complex [B, S, 2, F, T], as the product of a vector with itself: one pass."""
    flat = torch.view_as_real(spectra.transpose(3, 4)).flatten(2)
    return torch.einsum("bsn,bsn->bs", flat, flat)


def learning_rate(progress: float, budget: Budget) -> float:
    """Warm-up, then a cosine down to a hundredth at the end of the budget; `progress` from 0 to 1."""
    if progress < budget.warmup:
        return budget.rate * (0.05 + 0.95 * progress / budget.warmup)
    share = min(1.0, (progress - budget.warmup) / (1 - budget.warmup))
    return budget.rate * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


@dataclass
class _State:
    """What a resumed run needs beside network and optimizer."""

    average: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0


def train(
    network: nn.Module,
    songs: Callable[[], Songs],
    budget: Budget,
    folder: Path,
    device: str = "cpu",
    steps: int | None = None,
) -> dict[str, Tensor]:
    """Trains until the budget is spent (or for `steps` more steps) and returns the averaged weights.

    The state lies in `folder`/state.pt, written aside and renamed, so a kill at any moment costs at most `save_every`
    seconds. A later call with the same folder goes on: same batches, same averages. `songs` is called once, at the start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=budget.rate, weight_decay=1e-3, betas=(0.9, 0.98))
    state = _restore(network, optimizer, folder, device)
    loaded = songs()
    samples = int(budget.clip * 44100)
    all_threads = torch.get_num_threads()
    torch.set_num_threads(max(1, all_threads // budget.threads))  # of each part of a batch
    last_step = None if steps is None else state.step + steps
    saved = logged = now = time.monotonic()
    with ThreadPoolExecutor(1) as worker, ThreadPoolExecutor(budget.threads) as threads:
        coming = worker.submit(make_batch, loaded, budget.batch, samples, budget.seed, state.step)
        while state.seconds < budget.seconds and state.step != last_step:
            stems = coming.result().to(device)
            coming = worker.submit(make_batch, loaded, budget.batch, samples, budget.seed, state.step + 1)
            progress = state.seconds / budget.seconds
            waves = progress >= 1 - budget.through_waves
            gradients = _Gradients(network=network, waves=waves, first=state.step % 2)
            losses = list(threads.map(gradients, stems.chunk(budget.threads)))
            _one_step(network, optimizer, losses, learning_rate(progress, budget), state, budget.decay)
            then, now = now, time.monotonic()
            state.seconds += now - then
            if now - logged > 15:
                logged = now
                _log(folder, state)
            if now - saved > budget.save_every:
                saved = now
                _save(network, optimizer, folder, state)
    torch.set_num_threads(all_threads)
    _save(network, optimizer, folder, state)
    return state.average


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gradients:
    """Loss and gradients of a part of a batch.

    The parts run in threads of their own instead of sharing each operation: on a machine with other work,
    threads that wait for each other at every operation lose half of their time.
    """

    network: nn.Module
    waves: bool  # through the inverse transform
    first: int  # of every two frames, the one that is looked at

    def __call__(self, stems: Tensor) -> tuple[float, Sequence[Tensor]]:
        if isinstance(self.network, BandNet) and not self.waves:
            loss = spectral_negative_snr(self.network, stems, self.first, 2)
        else:
            loss = negative_snr(self.network(stems.sum(1)), stems)
        return float(loss.detach()), torch.autograd.grad(loss, list(self.network.parameters()))


def _one_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    parts: Sequence[tuple[float, Sequence[Tensor]]],
    rate: float,
    state: _State,
    decay: float,
) -> None:
    """Steps along the mean of the parts' gradients, and moves the averaged weights."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    for parameter, gradients in zip(
        network.parameters(), zip(*(gradients for _, gradients in parts), strict=True), strict=True
    ):
        parameter.grad = gradients[0] if len(gradients) == 1 else torch.stack(gradients).mean(0)
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    state.step += 1
    value = sum(loss for loss, _ in parts) / len(parts)
    state.loss = value if state.step == 1 else 0.98 * state.loss + 0.02 * value
    weight = min(decay, (1 + state.step) / (20 + state.step))
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            state.average[name].lerp_(tensor, 1 - weight)
        else:
            state.average[name].copy_(tensor)


def _save(network: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, state: _State) -> None:
    part = folder / f"state.{os.getpid()}.part"
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "state": asdict(state)}, part)
    part.replace(folder / "state.pt")


def _restore(network: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, device: str) -> _State:
    path = folder / "state.pt"
    if not path.exists():
        return _State(average={name: tensor.clone() for name, tensor in network.state_dict().items()})
    saved = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(saved["network"])
    optimizer.load_state_dict(saved["optimizer"])
    return _State(**saved["state"])


def _log(folder: Path, state: _State) -> None:
    line = {
        "step": state.step,
        "seconds": round(state.seconds, 1),
        "cpu": round(time.process_time(), 1),
        "loss": round(state.loss, 3),
    }
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
