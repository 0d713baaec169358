"""The child: `python -m tertulia.providers.local.child` serves one model until its parent is gone.

It is a process of its own because a native abort must not take the server along. llama.cpp's HTTP server runs on
threads of xllamacpp's; Python's part is to start it, and to wait for the end of standard input. The parent's death
closes that pipe. On Linux the kernel is asked as well, since loading a model holds Python's lock, and a child that is
still loading would notice nothing.

Standard output carries the one line of the handshake; whatever else prints goes to standard error. Prompts are never
logged: the engine logs errors only.
"""

import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tertulia.providers.local.handshake import Launch, Ready, Refusal, Report

SET_PARENT_DEATH_SIGNAL: Final = 1  # prctl(2), PR_SET_PDEATHSIG
ERRORS_ONLY: Final = 1
MOST_DESCRIPTORS: Final = 1 << 16
MOST_THREADS: Final = 8  # a small model only loses by more: each layer ends with all threads waiting for the slowest
QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def main() -> int:
    """Serve until the parent is gone; the exit status says whether the model could be loaded."""
    os.closerange(3, MOST_DESCRIPTORS)  # a lock or a socket of the server's must not outlive it in here
    report = claim_stdout()
    line = sys.stdin.buffer.readline()
    try:
        launch = msgspec.json.decode(line, type=Launch)
    except msgspec.MsgspecError:
        report(Refusal("The embedded model's process was started by hand; the server starts it by itself."))
        return 2
    follow_parent(launch.parent)
    settle()
    try:
        server = serve(launch)
    except (ImportError, RuntimeError, ValueError) as error:
        report(Refusal(str(error)))
        return 1
    ignore_signals()  # after the engine has set handlers of its own, which would stop it and leave us
    report(Ready(urlsplit(str(server.listening_address)).port or 0))
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # the engine's own way out waits for answers that nobody reads any more


def claim_stdout() -> Callable[[Report], None]:
    """Keep standard output for the handshake and send all other output to standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)

    def report(said: Report) -> None:
        os.write(kept, msgspec.json.encode(said) + b"\n")

    return report


def follow_parent(parent: int) -> None:
    """Ask the kernel to end this process with its parent, and leave at once if that is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)


def settle() -> None:
    """Leave signals to the parent, and no image of memory, with its prompts, on disk after a native abort."""
    ignore_signals()
    if sys.platform != "win32":
        import resource  # noqa: PLC0415  # only where it exists

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ignore_signals() -> None:
    """Leave SIGINT and SIGTERM to the parent.

    A terminal or a service manager sends them to the whole group, while the server still drains its answers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def serve(launch: Launch) -> Any:
    """Load the model and serve it on a free port of 127.0.0.1; returns when it answers.

    Raises `ImportError` without the engine and `RuntimeError` for a model that cannot be loaded.
    """
    engine: Any = importlib.import_module("xllamacpp")
    params = engine.CommonParams()
    params.model.path = launch.path
    params.model_alias = {launch.name}
    _guard(params, launch)
    _size(params, launch)
    if launch.demo:
        # ChatML as it is, so that the model reads what the caller wrote and nothing else. The file's own template puts
        # a sentence about the model's makers before it, which at this size turns plain questions into noise.
        params.chat_template = "chatml"
        params.sampling.temp = 0.2  # as its model card advises, for requests that do not say
        params.sampling.top_p = 0.9
    return engine.Server(params)


def _guard(params: Any, launch: Launch) -> None:
    params.api_keys = [launch.api_key]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False  # would show the prompts of others
    params.offline = True
    params.verbosity = ERRORS_ONLY


def _size(params: Any, launch: Launch) -> None:
    engine = launch.engine
    available = cores()
    params.n_parallel = engine.slots
    params.n_ctx = engine.context * engine.slots
    params.n_predict = engine.max_tokens
    params.cache_ram_mib = engine.cache_mib
    # One core is left to the server, and not for its sake alone: at each layer all threads wait for the slowest. On
    # two idle cores a second thread reads a prompt in half the time and makes a fifth more tokens; on two busy ones
    # it costs nine tenths of both. Making tokens waits for memory more than for cores.
    params.cpuparams.n_threads = engine.threads or min(MOST_THREADS, max(1, available // 2))
    params.cpuparams_batch.n_threads = engine.batch_threads or min(MOST_THREADS, max(1, available - 1))


def cores(quota_file: Path = QUOTA) -> int:
    """Count the cores that this process may use: its affinity, within the quota of its container (cgroup v2)."""
    mask = getattr(os, "sched_getaffinity", None)
    count = len(mask(0)) if mask else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
        limit = int(quota) / int(period)
    except (OSError, ValueError):  # no such file, or "max": no quota
        return count
    return max(1, min(count, round(limit)))


if __name__ == "__main__":
    sys.exit(main())
