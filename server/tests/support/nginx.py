"""A real nginx for tests, and a caller who comes through it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from service import until

_NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or "nginx"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(text: str, folder: Path) -> Iterator[None]:
    """It runs by this text of nginx.conf, in the foreground, and keeps what it writes in the folder."""
    temporary = "".join(f"    {name}_temp_path {folder}/{name};\n" for name in _TEMPORARY)
    config = folder / "nginx.conf"
    text = text.replace("/run/nginx.pid", f"{folder}/nginx.pid").replace("http {\n", "http {\n" + temporary)
    config.write_text("daemon off;\nerror_log stderr;\n" + text)
    command = [_NGINX, "-p", str(folder), "-e", "stderr", "-c", str(config)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def client_of(url: str, folder: Path, token: str | None = None, *, address: str = "127.0.0.1") -> httpx2.Client:
    """A caller at an address, who trusts the certificate in the folder."""
    trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx2.HTTPTransport(verify=trust, local_address=address)
    client = httpx2.Client(base_url=url, transport=transport, headers=headers, timeout=60.0)

    def answers() -> bool:
        try:
            return client.get("/health").status_code == 200
        except httpx2.TransportError:
            return False

    until(answers, what="nginx")
    return client
