"""The real parts that tests start for themselves, each on a port or socket of its own, none as root."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kombu import Connection
from service import until

from stemwright_server.adapters.broker.queue_names import queues_of

# Waits for the end of whoever holds its input, then ends what has the folder in its environment, and removes it.
# Twice, as Erlang's machine starts its name server anew when that dies first.
_REAPER = """
cat > /dev/null
for round in 1 2; do
  for process in /proc/[0-9]*; do
    grep -qaF "$0" "$process/environ" && kill -9 "${process#/proc/}"
  done
done
rm -rf "$0"
"""
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]  # as Debian lays it out; else the PATH


@contextmanager
def private_folder(user: str) -> Iterator[Path]:
    """A folder that ``user`` owns; pytest's own are closed to everybody else.

    It goes however this process ends, and with it what was started in it: Erlang's machine, for one, outlives the
    script that starts it.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"stemwright-{user}-"))
    reaper = subprocess.Popen(
        ["sh", "-c", _REAPER, str(folder)],
        stdin=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    if os.geteuid() == 0:
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        reaper.communicate()


def started(
    command: Sequence[str], folder: Path, *, user: str | None = None, **environment: str
) -> subprocess.Popen[bytes]:
    """A part in the foreground, writing to ``folder``/log; it does not outlive this process."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *_as(user), *command],
            cwd=folder,
            env=os.environ | environment | {"PARTS_FOLDER": str(folder)},  # the reaper knows them by it
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ended(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """End a part with all that it started."""
    try:
        os.killpg(process.pid, number)
        process.wait(120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _as(user: str | None) -> list[str]:
    if user is None or os.geteuid() != 0:
        return []
    return [f"--reuid={user}", f"--regid={user}", "--clear-groups"]


class Postgres:
    """A PostgreSQL server behind a socket in its own folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._schemas = 0
        self._binaries = _POSTGRES[0] if _POSTGRES else Path()
        self.process: subprocess.Popen[bytes] | None = None
        command = ["setpriv", *_as("postgres"), self._binary("initdb")]
        subprocess.run(
            [*command, "-A", "trust", "-U", "stemwright", "-E", "UTF8", "--no-sync", "-D", folder / "data"],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        self.start()

    def _binary(self, name: str) -> str:
        return str(self._binaries / name)

    def start(self) -> None:
        """Up, and answering."""
        quick = ["-c", "fsync=off", "-c", "listen_addresses=", "-c", "max_connections=200"]
        command = [self._binary("postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder), *quick]

        def answers() -> bool:
            if self.process is None or self.process.poll() is not None:
                # Again, if need be: it goes at once while a child of the one that was killed still has its memory.
                self.process = started(command, self._folder, user="postgres")
            return self._answers()

        until(answers, what="PostgreSQL to answer")

    def stop(self) -> None:
        """At once, as when its machine fails."""
        assert self.process is not None
        ended(self.process)

    def _answers(self) -> bool:
        asked = [self._binary("pg_isready"), "-q", "-h", str(self._folder)]
        return subprocess.run(asked, check=False).returncode == 0

    def run(self, sql: str) -> None:
        """As an administrator would."""
        command = [self._binary("psql"), "-q", "-h", str(self._folder), "-U", "stemwright", "-d", "postgres", "-c", sql]
        subprocess.run(command, check=True, capture_output=True)

    def database(self) -> str:
        """The URL of an empty schema."""
        self._schemas += 1
        name = f"t{self._schemas}"
        self.run(f"CREATE SCHEMA {name}")
        return f"postgresql://stemwright@/postgres?host={self._folder}&options=-csearch_path%3D{name}"


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """One for a session of tests."""
    with private_folder("postgres") as folder:
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as asked:
        asked.settimeout(1.0)
        return asked.connect_ex(("127.0.0.1", port)) == 0


class Redis:
    """A Redis server that keeps what it holds, as one does who trusts it with a queue."""

    name = "redis"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Up, and answering."""
        kept = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--dir", str(self._folder)]
        self.process = started(
            ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", *kept], self._folder, user="redis"
        )
        until(lambda: self.ask("ping") == "PONG", what="Redis to answer")

    def stop(self) -> None:
        """At once, as by the kernel."""
        ended(self.process)

    def close(self) -> None:
        """For good."""
        self.stop()

    def ask(self, *words: str) -> str:
        """What redis-cli says."""
        asked = ["redis-cli", "-p", str(self._port), *words]
        return subprocess.run(asked, check=False, capture_output=True, text=True).stdout.strip()

    def lose_everything(self) -> None:
        """As after a restart without a disk."""
        self.ask("FLUSHALL")

    empty = lose_everything


class RabbitMQ:
    """A RabbitMQ node of its own name, ports and folder."""

    name = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        node = f"stemwright{self._port}@localhost"
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        self._environment = {
            "RABBITMQ_NODENAME": node,
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
            "ERL_EPMD_PORT": str(free_port()),  # not the machine's own name server
            "HOME": str(folder),
            "LANG": "C.UTF-8",
        }
        # Erlang's name server, which the node would start as a daemon that outlives everything.
        names = ["epmd", "-port", self._environment["ERL_EPMD_PORT"], "-address", "127.0.0.1"]
        self._names = started(names, folder, user="rabbitmq")
        until(lambda: listens(int(self._environment["ERL_EPMD_PORT"])), what="epmd to listen")
        self.start()

    def start(self) -> None:
        """Up, and listening."""
        # The one on the PATH wants to be its package's own user.
        (command,) = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))[-1:]
        self.process = started([str(command)], self._folder, user="rabbitmq", **self._environment)
        until(lambda: listens(self._port), seconds=300.0, what="RabbitMQ to listen")

    def stop(self) -> None:
        """At once, as by the kernel."""
        ended(self.process)
        # The script is gone first; a node that is started beside Erlang's machine as it dies is refused its name.
        until(lambda: not listens(self._port), what="RabbitMQ to be gone")

    def close(self) -> None:
        """For good."""
        self.stop()
        ended(self._names)

    def lose_everything(self) -> None:
        """As when its disk is lost: what lies in the queues goes, and the queues with it."""
        with Connection(self.url) as connection:
            for name in queues_of(["gain", "demucs"]):  # ours; all could be had of a plugin only
                connection.default_channel.queue_delete(name)

    empty = lose_everything


@contextmanager
def broker_server(kind: type[Redis] | type[RabbitMQ]) -> Iterator[Redis | RabbitMQ]:
    """One for a session of tests."""
    with private_folder(kind.name) as folder:
        server = kind(folder)
        try:
            yield server
        finally:
            server.close()
