"""The service on Modal: one container with a GPU, API and worker in it.

Started by ``modal deploy deploy/modal_app.py``. Its disk is gone with the container: the secret ``stemwright-secrets``
has to name a DATABASE_URL and a bucket (S3_BUCKET and its keys), beside DEMUCSSVC_TOKEN and JWT_SECRET. See .env.example
for all there is.
"""

from __future__ import annotations

import subprocess

import modal

PORT = 8080
COMMAND = ["stemwright", "serve", "--host", "0.0.0.0", "--port", str(PORT), "--data-dir", "/tmp/stemwright"]  # noqa: S104, S108

image = modal.Image.from_dockerfile("deploy/Dockerfile", context_dir=".")
app = modal.App("stemwright")


@app.function(
    image=image,
    gpu="A10G",
    secrets=[modal.Secret.from_name("stemwright-secrets")],
    min_containers=1,  # jobs wait in the database; without a container nobody would take them
    max_containers=1,
    timeout=24 * 3600,
)
@modal.concurrent(max_inputs=100)
@modal.web_server(PORT, startup_timeout=120.0)
def serve() -> None:
    """Start the service; Modal forwards to its port, and sends SIGTERM before it takes the container away."""
    subprocess.Popen(COMMAND)
