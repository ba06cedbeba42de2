"""What a download can do once a page has taken it over: write in its folder, and speak to its proxy."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import textwrap

import pytest

LANDLOCK = ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) if sys.platform == "linux" else -1
"""The version that the kernel has; below 1: none."""

pytestmark = pytest.mark.skipif(LANDLOCK < 4, reason="the kernel's Landlock knows no ports")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each attempt gave: "done", or the number of the error."""
    folder = tmp_path_factory.mktemp("confined")
    (folder / "own").mkdir()
    (folder / "secret").write_text("a database")
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.create_server(("127.0.0.1", 0)) as database:
        attempts = {
            "write in its folder": f"open({str(folder / 'own' / 'x')!r}, 'w')",
            "import a module": "__import__('wave')",
            "start a program": "subprocess.run(['/bin/true'], check=True)",
            "reach its proxy": f"socket.create_connection(('127.0.0.1', {proxy.getsockname()[1]}))",
            "read the data folder": f"open({str(folder / 'secret')!r})",
            "list the data folder": f"os.listdir({str(folder)!r})",
            "write beside its folder": f"open({str(folder / 'y')!r}, 'w')",
            "remove a file beside it": f"os.unlink({str(folder / 'secret')!r})",
            "read its worker's environment": f"open('/proc/{os.getpid()}/environ')",
            "read it by a program": f"subprocess.run(['/bin/cat', {str(folder / 'secret')!r}], check=True)",
            "reach a database": f"socket.create_connection(('127.0.0.1', {database.getsockname()[1]}))",
            "listen": "socket.create_server(('127.0.0.1', 0))",
            "speak UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
            "speak raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
            "speak netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
            "kill its worker": f"os.kill({os.getpid()}, 0)",
        }
        code = f"""
            import json, os, socket, subprocess, sys
            from pathlib import Path
            from stemwright_worker.sources import youtube_child
            from stemwright_worker.sources.confinement import confine
            confine(read=youtube_child.programs(), write=[Path({str(folder / "own")!r})],
                    connect={proxy.getsockname()[1]})
            answers = {{}}
            for name, attempt in {attempts!r}.items():
                try:
                    eval(attempt)
                    answers[name] = "done"
                except (OSError, subprocess.CalledProcessError) as error:
                    answers[name] = type(error).__name__
            print(json.dumps(answers))
        """
        result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("attempt", ["write in its folder", "import a module", "start a program", "reach its proxy"])
def test_a_download_can_do_its_work(answers: dict[str, str], attempt: str) -> None:
    assert answers[attempt] == "done"


@pytest.mark.parametrize(
    "attempt",
    [
        *("read the data folder", "list the data folder", "write beside its folder", "remove a file beside it"),
        *("read its worker's environment", "reach a database", "listen", "speak UDP", "speak raw", "speak netlink"),
    ],
)
def test_a_download_can_do_nothing_else(answers: dict[str, str], attempt: str) -> None:
    assert answers[attempt] == "PermissionError"


def test_what_it_starts_is_held_as_well(answers: dict[str, str]) -> None:
    assert answers["read it by a program"] == "CalledProcessError"


@pytest.mark.skipif(LANDLOCK < 6, reason="the kernel's Landlock knows no signals")
def test_it_cannot_signal_its_worker(answers: dict[str, str]) -> None:
    assert answers["kill its worker"] == "PermissionError"
