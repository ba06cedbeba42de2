"""The environments that services are installed in: this one, and those that services have of their own.

Services whose pins exclude each other cannot share an environment. So each may have one, and is asked there what it offers
and run there: by processes of ``ENVIRONMENT/bin/python -m stemwright_worker``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import structlog

from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.errors import ServiceError

DESCRIBE_SECONDS = 30.0  # that all environments together get to say what they offer; half a second is usual
_OWN_PATHS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # where this environment looks, and no other one may
# The folder of the repository, if this module lies in one.
_CHECKOUT = Path(__file__).parents[4] if Path(__file__).parents[2].name == "src" else None
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An interpreter with what is installed for it."""

    python: Path

    @property
    def own(self) -> bool:
        """Whether it is the one that runs now."""
        return self.python.parent == Path(sys.executable).parent

    def variables(self) -> dict[str, str]:
        """The environment variables of a process in it."""
        return {name: value for name, value in os.environ.items() if self.own or name not in _OWN_PATHS}


@dataclass(frozen=True, kw_only=True)
class EnvironmentServices:
    """What the services of one environment offer."""

    environment: Environment
    services: tuple[ServiceDescription, ...]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one worker process runs, and what."""

    environment: Environment
    device: str
    services: tuple[str, ...]


OWN = Environment(python=Path(sys.executable))


def find_environments(services_path: str | None) -> list[Environment]:
    """This environment, and those of the folders in ``services_path``; None: of the checkout, if this runs from one."""
    if services_path is None:
        folders = [_CHECKOUT / "services"] if _CHECKOUT is not None else []
    else:
        folders = [Path(folder) for folder in services_path.split(os.pathsep) if folder]
    for folder in folders:
        if services_path is not None and not folder.is_dir():
            _log.warning("no_services_folder", folder=str(folder), setting="STEMWRIGHT_SERVICES_PATH")
    installed = [venv / "bin" / "python" for folder in folders for venv in sorted(folder.glob("*/.venv"))]
    found = [python for python in installed if python.exists()]
    for python in set(installed).difference(found):
        _log.error("environment_not_whole", python=str(python))  # half made, or its interpreter was removed
    environments = [Environment(python=python.absolute()) for python in found]
    return [OWN, *(each for each in environments if not each.own)]


class Inquiry:
    """Asks environments what they offer, all at once: it begins when this is made, and ``answers`` waits.

    Who ends without waiting is kept by none: the threads are daemons, and what they started dies with them.
    """

    def __init__(
        self, environments: Sequence[Environment], names: Sequence[str] = (), *, seconds: float = DESCRIBE_SECONDS
    ) -> None:
        """``names``: of the services that are asked; none: all."""
        self._asked: list[tuple[Environment, Future[tuple[ServiceDescription, ...]]]] = []
        for each in environments:
            answer: Future[tuple[ServiceDescription, ...]] = Future()
            self._asked.append((each, answer))
            Thread(target=_ask, args=(each, names, seconds, answer), name="inquiry", daemon=True).start()

    def answers(self) -> list[EnvironmentServices]:
        """What each offers. One that fails, or takes too long, is said in the log and left out.

        A service with an environment of its own is taken from there, whatever is installed here under its name.
        """
        taken: set[str] = set()
        offered = []
        for environment, asked in sorted(self._asked, key=lambda each: each[0].own):  # this one comes last
            left = tuple(service for service in asked.result() if service.name not in taken)
            taken |= {service.name for service in left}
            if left:
                offered.append(EnvironmentServices(environment=environment, services=left))
        return offered


def places(offered: Sequence[EnvironmentServices], devices: Sequence[str]) -> list[Place]:
    """A worker process for each environment on each device; it runs the services that are taken from there."""
    return [
        Place(environment=each.environment, device=device, services=tuple(service.name for service in each.services))
        for each in offered
        for device in devices
    ]


def _ask(
    environment: Environment, names: Sequence[str], seconds: float, answer: Future[tuple[ServiceDescription, ...]]
) -> None:
    command = [str(environment.python), "-m", "stemwright_worker", "describe", *names]
    try:
        said = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment.variables(),
            timeout=seconds,
            check=True,
        ).stdout
        from stemwright_worker.contract.codec import (
            load_announcement,
        )  # takes a while: the asking begins sooner without

        answer.set_result(load_announcement(said).services)
    except (OSError, subprocess.SubprocessError, ServiceError) as error:
        _log.error("services_not_described", python=str(environment.python), error=str(error))
        answer.set_result(())
    except Exception as error:
        answer.set_exception(error)  # for who waits for it
