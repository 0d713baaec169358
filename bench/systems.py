"""What is measured: where it listens, whose CPU time counts; and how the references are started."""

import http.client
import json
import shutil
import sys
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import processes
import wire

BENCH: Final = Path(__file__).parent
_NGINX_CONF: Final = """
pid {folder}/nginx.pid;
error_log stderr crit;
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream mock {{
        server 127.0.0.1:{upstream};
        keepalive 2048;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class System:
    """Something that answers completions. `prefix` stands before the upstream's model names."""

    name: str
    port: int
    pid: int
    key: str = "tt-" + "0" * 43
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where things run: a folder on the disk that is measured, and two cores.

    What is measured has the one core, the instruments the other. Left to the scheduler, the upstream now and then
    shares a core with the system under test, which then finds many events in one read: a third of the CPU time a
    stream, in no pattern.
    """

    stack: ExitStack
    folder: Path
    measured: Collection[int]
    instruments: Collection[int]


def upstream(ground: Ground) -> System:
    """Start the mock upstream; as a system it is the direct way, with nothing between."""
    port = processes.free_port()
    argv = [sys.executable, str(BENCH / "upstream.py"), "--port", str(port)]
    child = processes.start(
        ground.stack,
        "the upstream",
        argv,
        log=ground.folder / "upstream.log",
        env=processes.environment(),
        cores=ground.instruments,
    )
    processes.await_ready(child, port, "/v1/models", within_s=15)
    return System(name="direct", port=port, pid=child.pid)


def answered(upstream: System) -> int:
    """Return how many completions the upstream has given."""
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=10)
    try:
        connection.request("GET", "/v1/models")
        return int(json.loads(connection.getresponse().read())["answered"])
    finally:
        connection.close()


def floor(ground: Ground, upstream: System) -> System:
    """Start the floor under uvicorn."""
    port = processes.free_port()
    options = "--loop uvloop --http httptools --no-access-log --log-level warning --backlog 2048"
    argv = [sys.executable, "-m", "uvicorn", "floor:app", "--app-dir", str(BENCH), "--port", str(port)]
    child = processes.start(
        ground.stack,
        "the floor",
        [*argv, *options.split()],
        log=ground.folder / "floor.log",
        env=processes.environment(BENCH_UPSTREAM_PORT=str(upstream.port)),
        cores=ground.measured,
    )
    processes.await_ready(child, port, "", within_s=15)
    return System(name="floor", port=port, pid=child.pid)


def nginx(ground: Ground, upstream: System) -> System | None:
    """Start nginx as a plain proxy without buffering; None where it is not installed."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:" + processes.environment().get("PATH", ""))
    if program is None:
        return None
    port = processes.free_port()
    folder = ground.folder / "nginx"
    folder.mkdir()
    conf = folder / "nginx.conf"
    conf.write_text(_NGINX_CONF.format(folder=folder, port=port, upstream=upstream.port))
    child = processes.start(
        ground.stack,
        "nginx",
        [program, "-p", str(folder), "-c", str(conf)],
        log=folder / "nginx.log",
        env=processes.environment(),
        cores=ground.measured,
    )
    processes.await_ready(child, port, "", within_s=10)
    return System(name="nginx", port=port, pid=child.pid)


def model(system: System, *, paced: bool) -> str:
    """Return the model name to ask this system for."""
    return system.prefix + (wire.paced_model() if paced else wire.INSTANT)
