"""From a composed song to its stems: every part played, mixed into its stem, the stems balanced and mastered together."""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import mixing
from .patches import render_patch
from .score import SAMPLE_RATE, STEMS, Part, Song
from .soundfonts import render_notes
from .synths import render_synth
from .voice import sing

Audio = npt.NDArray[np.float32]

# Loudness of the stems against each other before the song's own variation, in dB, as short-term loudness is taken: over
# three seconds, so that strokes with gaps between them and held chords of one level are as loud as each other.
BALANCE = {"drums": 0.5, "bass": 0.0, "other": 0.0, "vocals": 0.0}
SHORT_TERM = 3.0  # seconds
# Engineers cut what lies below an instrument, to leave the low end to bass drum and bass. Hz, drawn from a range.
LOW_CUT = {"other": (90.0, 150.0), "vocals": (80.0, 140.0)}
OWN = "own"  # the font whose parts are played with patches drawn anew


@dataclass(frozen=True, kw_only=True, slots=True)
class Production:
    """How a song is produced. `font` names a sound font, or is OWN; `spread_db` is how far stems stray from the usual balance."""

    font: str = "fluid"
    spread_db: float = 1.5
    lossy: float = 0.12  # how likely the stems went through mp3
    resampled: float = 0.12  # how likely they were once at another sample rate


def render(song: Song, production: Production) -> npt.NDArray[np.int16]:
    """Renders the stems as int16 [4, 2, samples] in the order of STEMS; their integer sum is the mix and does not clip.

    The same song and production give the same samples, on the same versions of fluidsynth, espeak-ng and WORLD.
    """
    rng = np.random.default_rng([31, song.seed])
    samples = int(song.seconds * SAMPLE_RATE)
    impulse = mixing.room(int(rng.integers(1000)), float(rng.uniform(0.5, 2.2)))
    stems = np.zeros((len(STEMS), 2, samples), np.float32)
    for i, part in enumerate(song.parts):
        part_rng = np.random.default_rng([song.seed, i, zlib.crc32(part.instrument.encode())])
        stems[STEMS.index(part.stem)] += _play(part, production.font, samples, impulse, part_rng)
    for i, name in enumerate(STEMS):
        stems[i] = mixing.random_chain(stems[i], rng)
        if name in LOW_CUT:
            stems[i] = mixing.pass_filter(stems[i], "highpass", float(rng.uniform(*LOW_CUT[name])))
        level = -18 + BALANCE[name] + float(rng.normal(0, production.spread_db))
        stems[i] = mixing.to_level(stems[i], level, SHORT_TERM)
    return quantise(_age(_master(stems, rng), production, rng))


def _play(part: Part, font: str, samples: int, impulse: Audio, rng: np.random.Generator) -> Audio:
    kind, name = part.instrument.split(":")
    if font == OWN and kind == "kit":
        kind, name = "synth", ("808", "909")[int(rng.integers(2))]
    if font == OWN and kind == "gm":
        dry = np.repeat(render_patch(int(name), part.notes, samples, rng)[None], 2, axis=0)
    elif kind == "synth":
        dry = np.repeat(render_synth(name, part.notes, samples, rng)[None], 2, axis=0)
    elif kind == "voice":
        dry = np.repeat(sing(int(name), part.notes, samples, rng)[None], 2, axis=0)
    else:
        dry = render_notes(font, part.instrument, part.notes, samples)
        dry = mixing.widen(dry, float(rng.uniform(0.2, 1.2)))
    dry = mixing.pan(mixing.to_level(dry, -18 + part.gain_db), part.pan)
    share = part.reverb * (0.1 if part.stem == "bass" else 1.0)
    return mixing.reverberate(dry, share, impulse)


def _master(stems: Audio, rng: np.random.Generator) -> Audio:
    """Bus compression and a gain to the song's loudness: both computed from the mix, both applied to each stem alike."""
    if rng.random() < 0.5:
        stems = (
            stems
            * mixing.compression_gain(stems.sum(axis=0), float(rng.uniform(-16, -10)), float(rng.uniform(1.3, 2.5)))
        ).astype(np.float32)
    peak = max(float(np.abs(stems.sum(axis=0)).max()), float(np.abs(stems).max()), 1e-6)
    return (stems * (10 ** (rng.uniform(-7, -0.3) / 20) / peak)).astype(np.float32)


def _age(stems: Audio, production: Production, rng: np.random.Generator) -> Audio:
    """Some songs went through mp3 or another sample rate: each stem does, so that they still sum to the mix."""
    rate, kilobits = int(rng.choice([22050, 32000, 48000])), int(rng.choice([96, 128, 192, 256]))
    if rng.random() < production.resampled:
        stems = np.stack([mixing.through_rate(stem, rate) for stem in stems])
    if rng.random() < production.lossy:
        stems = np.stack([mixing.through_mp3(stem, kilobits) for stem in stems])
    return stems


def quantise(stems: Audio) -> npt.NDArray[np.int16]:
    """Float stems to int16, with one joint gain if the mix or a stem would clip."""
    peak = max(float(np.abs(stems.sum(axis=0)).max()), float(np.abs(stems).max()))
    gain = 32767 * min(1.0, 0.985 / max(peak, 1e-9))
    whole: npt.NDArray[np.int16] = np.round(stems * gain).astype(np.int16)
    return whole
