"""How this store was made: by the service of commit 495868d, which is then killed with a job under way.

    PYTHONPATH=server/tests/support python server/tests/support/store_495868d/make.py

writes ``store.sql``, the database as text, and ``blobs``, its files, anew.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from released import Released
from service import running, wav

HERE = Path(__file__).parent

# A job that ended, and whose webhook is still to be sent: written by the version's own repository, since a service would
# go on sending it.
_WEBHOOK = """
import sys
from dataclasses import replace
from pathlib import Path
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.domain.job import Webhook
from stemwright_server.domain.lifecycle import CancelAsked, Policy, advance

repository = SqlJobRepository(sqlite_engine(Path(sys.argv[1])))
(job,) = [job for job in repository.jobs_of(sys.argv[2])]
webhook = Webhook(url="http://127.0.0.1:9/told", kind="split")
job = replace(job, id="told", work_key="told", extras=replace(job.extras, dialect="split", webhook=webhook))
repository.submit(job, key=None)
repository.change("told", lambda job: advance(job, CancelAsked(), now=job.created_at + 1.0, policy=Policy()))
repository.close()
"""


def main() -> None:
    """Make it."""
    with tempfile.TemporaryDirectory() as folder:
        released = Released(Path(folder, "released"))
        data = Path(folder, "service", "data")
        data.parent.mkdir()
        with running(data, {**released.settings, "STEMWRIGHT_WORKERS": "1"}) as service:
            client = service.client
            finished = client.upload(wav(0.02, seed=1), "finished.wav")
            key = {"Idempotency-Key": "the key of the finished job"}
            job = client.process(finished, headers=key, params={"segments": 2}).json()["job_id"]
            client.wait(finished, job, "completed")
            failed = client.upload(wav(0.02, seed=2), "failed.wav")
            client.wait(failed, client.submit(failed, fail="no_use"), "failed")
            held = client.upload(wav(0.02, seed=3), "running.wav")
            client.wait(held, client.submit(held, sleep=0.5, segments=3), "running")
            queued = client.upload(wav(0.02, seed=4), "queued.wav")
            client.submit(queued)
            service.kill()
        released.run(_WEBHOOK, str(data / "stemwright.db"), queued)
        with closing(sqlite3.connect(data / "stemwright.db")) as store:
            (HERE / "store.sql").write_text("".join(f"{line}\n" for line in store.iterdump()))
        shutil.rmtree(HERE / "blobs", ignore_errors=True)
        shutil.copytree(data / "blobs", HERE / "blobs", ignore=shutil.ignore_patterns(".parts"))


if __name__ == "__main__":
    main()
