"""The environments that services are installed in, asked what they offer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stemwright_worker.contract.codec import dump_announcement
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.tasks import Announcement
from stemwright_worker.process.environments import (
    DESCRIBE_SECONDS,
    OWN,
    Environment,
    EnvironmentServices,
    Inquiry,
    find_environments,
    places,
)


def environment(folder: Path, name: str, script: str) -> Environment:
    """One whose interpreter is a shell script."""
    python = folder / name / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return Environment(python=python)


def offering(folder: Path, name: str, *services: ServiceDescription) -> Environment:
    """One in which these services are installed."""
    said = dump_announcement(Announcement(worker="", services=services, described="", nonce="")).decode()
    return environment(folder, name, f"cat <<'END'\n{said}\nEND")


def service(name: str, version: str = "1") -> ServiceDescription:
    return ServiceDescription(name=name, version=version)


def test_folders_of_services_are_searched_for_environments_and_this_one_is_always_there(tmp_path: Path) -> None:
    (tmp_path / "more" / "not_installed").mkdir(parents=True)
    one = offering(tmp_path / "services", "one")
    two = offering(tmp_path / "more", "two")
    path = f"{tmp_path / 'services'}:{tmp_path / 'more'}"
    assert find_environments(path) == [OWN, one, two]
    assert find_environments("") == [OWN]


def test_a_folder_that_is_not_there_and_an_environment_without_its_python_are_said_in_the_log(tmp_path: Path) -> None:
    python = tmp_path / "services" / "half" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(tmp_path / "removed")
    with capture_logs() as logs:
        assert find_environments(f"{tmp_path / 'services'}:{tmp_path / 'servcies'}") == [OWN]
    assert [log["event"] for log in logs] == ["no_services_folder", "environment_not_whole"]
    assert (logs[0]["folder"], logs[1]["python"]) == (str(tmp_path / "servcies"), str(python))


def test_services_are_asked_in_their_environments_all_at_once(tmp_path: Path) -> None:
    """Each of the two waits until the other one was asked as well."""
    for one, other in (("a", "b"), ("b", "a")):
        made = offering(tmp_path, one, service(one))
        wait = f"touch {tmp_path}/{one}.asked; while [ ! -e {tmp_path}/{other}.asked ]; do sleep 0.01; done"
        made.python.write_text(made.python.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{wait}\n"))
    found = Inquiry(find_environments(str(tmp_path))[1:]).answers()
    assert [[each.name for each in offered.services] for offered in found] == [["a"], ["b"]]


def test_a_service_with_an_environment_of_its_own_is_taken_from_there(tmp_path: Path) -> None:
    own = offering(tmp_path, "own", service("a", "2"))
    found = Inquiry([OWN, own], ["a"]).answers()
    assert found == [EnvironmentServices(environment=own, services=(service("a", "2"),))]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "status 3"),
        ("echo '{}'", "contract"),
        ("echo no json", "Not an announcement"),
        ("exec sleep 600", "timed out"),
    ],
    ids=["fails", "of another version", "says nonsense", "hangs"],
)
def test_an_environment_that_does_not_answer_is_said_in_the_log_and_left_out(
    tmp_path: Path, script: str, reason: str
) -> None:
    bad, good = environment(tmp_path, "bad", script), offering(tmp_path, "good", service("a"))
    with capture_logs() as logs:
        found = Inquiry([bad, good], seconds=2.0).answers()
    assert [each.environment for each in found] == [good]
    (log,) = logs
    assert (log["event"], log["python"]) == ("services_not_described", str(bad.python))
    assert reason in log["error"]


def test_who_ends_without_waiting_for_the_answers_is_not_kept_by_one_that_hangs(tmp_path: Path) -> None:
    """A service that cannot start, for its port is taken, says so at once."""
    pid = tmp_path / "pid"
    hanging = environment(tmp_path, "hangs", f"echo $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 300")
    code = (
        "import time\n"
        "from pathlib import Path\n"
        "from stemwright_worker.process.environments import Environment, Inquiry\n"
        f"Inquiry([Environment(python=Path({str(hanging.python)!r}))])\n"
        f"while not Path({str(pid)!r}).exists(): time.sleep(0.01)"
    )
    try:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=DESCRIBE_SECONDS - 5.0)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_an_interpreter_that_is_none_is_left_out(tmp_path: Path) -> None:
    bad = Environment(python=tmp_path / "nothing")
    with capture_logs() as logs:
        assert Inquiry([bad]).answers() == []
    assert [log["event"] for log in logs] == ["services_not_described"]


def test_each_environment_gets_a_worker_on_each_device_for_its_own_services(tmp_path: Path) -> None:
    one = EnvironmentServices(environment=offering(tmp_path, "one"), services=(service("a"), service("b")))
    two = EnvironmentServices(environment=OWN, services=(service("c"),))
    found = places([one, two], ["cuda:0", "cuda:1"])
    assert [(each.environment, each.device, each.services) for each in found] == [
        (one.environment, "cuda:0", ("a", "b")),
        (one.environment, "cuda:1", ("a", "b")),
        (OWN, "cuda:0", ("c",)),
        (OWN, "cuda:1", ("c",)),
    ]


def test_another_environment_does_not_look_where_this_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    assert "PYTHONPATH" not in Environment(python=tmp_path / "python").variables()
    assert Environment(python=Path(sys.executable)).variables()["PYTHONPATH"] == "/ours"
