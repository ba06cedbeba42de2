"""Audio in and out: files of strangers to samples, samples to files, to the sample and in constant memory."""

from stemwright.audio.formats import FORMATS, AudioFormat
from stemwright.audio.info import AudioInfo, InputLimits
from stemwright.audio.reader import AudioReader, open_audio, probe
from stemwright.audio.resample import Resampler, resampled_length
from stemwright.audio.scan import ScanResult, scan
from stemwright.audio.writer import AudioWriter, WrittenFile, open_writer, part_path

__all__ = [
    "FORMATS",
    "AudioFormat",
    "AudioInfo",
    "AudioReader",
    "AudioWriter",
    "InputLimits",
    "Resampler",
    "ScanResult",
    "WrittenFile",
    "open_audio",
    "open_writer",
    "part_path",
    "probe",
    "resampled_length",
    "scan",
]
