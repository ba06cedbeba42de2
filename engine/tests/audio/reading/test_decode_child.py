"""Decoding happens in a process that can do nothing else, and that is gone when the reader is."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from sounds import sound

from stemwright.audio import open_audio, open_writer, probe
from stemwright.audio.reading import decode_child
from stemwright.audio.reading.decode_process import DecodeProcess
from stemwright.audio.reading.plan import Plan
from stemwright.audio.reading.sniff import sniff
from stemwright.errors import InputError

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("child") / "song.wav"
    with open_writer(path, format="wav", sample_rate=44100, channels=2) as writer:
        writer.write(sound(44100, 1_500_000))
    return path


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def is_dead(pid: int) -> bool:
    """Gone, or nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(true: object, seconds: float = 60) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def children() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended while we looked
            yield from map(int, (task / "children").read_text().split())


def test_the_process_is_gone_after_reading_closing_and_failing(song: Path, tmp_path: Path) -> None:
    before = set(children())
    with open_audio(song) as reader:
        pid = reader.child_pid
        assert not is_gone(pid)
        next(reader)
    assert is_gone(pid)
    reader.close()
    reader = open_audio(song)
    for _ in reader:
        pass
    assert is_gone(reader.child_pid)
    reader = open_audio(song)
    pid = reader.child_pid
    del reader
    gc.collect()
    assert is_gone(pid)
    probe(song)
    (tmp_path / "x.mp3").write_bytes(b"\xff\xfb\x90\x64" + os.urandom(100))
    with pytest.raises(InputError):
        probe(tmp_path / "x.mp3")
    assert set(children()) == before


def test_it_has_no_files_but_its_own_and_no_environment(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    with song.open("rb") as other, open_audio(song) as reader:
        os.set_inheritable(other.fileno(), True)
        proc = Path(f"/proc/{reader.child_pid}")
        assert b"AWS_SECRET" not in (proc / "environ").read_bytes()
        targets = [os.readlink(link) for link in (proc / "fd").iterdir()]  # noqa: PTH115
        assert sorted(target for target in targets if target != "/dev/null" and "pipe" not in target) == [str(song)] * 2
        limits = {line[:26].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()[1:]}
    assert limits["Max address space"] == [str(1 << 30)] * 2
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["4", "4"]
    assert limits["Max cpu time"][0] == limits["Max cpu time"][1] != "unlimited"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGXCPU])
def test_a_decoder_that_dies_is_an_input_error(song: Path, number: signal.Signals) -> None:
    with open_audio(song) as reader:
        next(reader)
        os.kill(reader.child_pid, number)
        with pytest.raises(InputError) as caught:
            list(reader)
    assert caught.value.code == "decode_failed"
    assert f"signal {number}" in str(caught.value)


@pytest.mark.parametrize(
    "code", ["print('Segmentation fault' * 10)", "raise SystemExit(3)", "import os; os.write(1, b'H')"]
)
def test_a_decoder_that_writes_nonsense_is_an_input_error(song: Path, tmp_path: Path, code: str) -> None:
    script = tmp_path / "child.py"
    script.write_text(code)
    with song.open("rb") as file:
        kind = sniff(file, str(song))
        process = DecodeProcess(file, kind, song.stat().st_size, str(song), plan=Plan(), script=script)
    with closing(process), pytest.raises(InputError) as caught:
        process.record()
    assert caught.value.code == "decode_failed"


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_its_parent(song: Path, end: str) -> None:
    code = f"""
        import os
        from stemwright.audio import open_audio
        reader = open_audio({str(song)!r})
        next(reader)
        print(reader.child_pid, flush=True)
        {end}
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    pid = int(result.stdout)
    wait_until(lambda: is_dead(pid))


def test_it_ends_with_its_parent_even_while_it_is_busy() -> None:
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(decode_child.__file__).parent)!r})
        import decode_child
        decode_child.die_with_parent()
        sys.stdout.write("busy\\n"); sys.stdout.flush()
        while True: pass
    """
    busy = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert busy.stdout is not None
    busy.stdout.readline()
    busy.stdout.close()
    assert busy.wait(60) == 1


def test_memory_does_not_grow_with_the_song(tmp_path: Path) -> None:
    def peaks(seconds: int) -> tuple[int, int]:
        path = tmp_path / "song.flac"
        with open_writer(path, format="flac", sample_rate=44100, channels=2) as writer:
            second = sound(44100, 44100)
            for _ in range(seconds):
                writer.write(second)
        with open_audio(path, sample_rate=48000) as reader:
            held = 0
            for block in reader:
                held = max(held, block.nbytes)
                with suppress(FileNotFoundError, ProcessLookupError):  # at the end it goes
                    text = Path(f"/proc/{reader.child_pid}/status").read_text()
                    if "VmHWM" in text:
                        peak = int(text.split("VmHWM:")[1].split()[0])
        return peak, held

    short, long = peaks(15), peaks(90)
    assert long[0] < short[0] * 1.1  # kB
    assert long[1] <= 65536 * 2 * 4


def test_the_child_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['x']; import runpy; "
        f"sys.path.insert(0, {str(Path(decode_child.__file__).parent)!r}); import decode_child; "
        "import av, av.subtitles.stream, system_calls; print(sorted({'numpy', 'torch', 'stemwright'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_importing_the_package_brings_no_torch_and_no_decoder() -> None:
    code = "import sys, stemwright.audio; print(sorted({'torch', 'av', 'soundfile'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_several_readers_run_at_once(song: Path) -> None:
    readers = [open_audio(song) for _ in range(4)]
    sums = [0.0] * 4
    for blocks in zip(*readers, strict=True):
        for index, block in enumerate(blocks):
            sums[index] += float(np.abs(block).sum())
    assert len(set(sums)) == 1
    assert sums[0] > 0
