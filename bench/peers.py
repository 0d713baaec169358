"""The peer: LiteLLM's proxy beside the floor and, where it is there, Tertulia with everything on.

LiteLLM runs as its users start it, with its master key and without database, budgets or callbacks, which favours it.
It is installed into a virtual environment that goes away with the run; `--keep DIR` keeps it for the next.

Run: python bench/peers.py [--litellm SPECIFIER] [--keep DIR] [--streams N]
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import machine
import processes
import report
import rounds
import run
import server
import systems
import wire
from evidence import Finding
from figures import paired
from processes import StartError
from rounds import Field, Phase, PhaseName, Record
from systems import Ground, System

_LITELLM: Final = "litellm[proxy]>=1.106,<1.107"
_INSTALL_S: Final = 600
_BUDGET_S: Final = 300.0
_CONFIG: Final = """
model_list:
  - model_name: {instant}
    litellm_params: {{model: openai/{instant}, api_base: "http://127.0.0.1:{upstream}/v1", api_key: upstream-key}}
  - model_name: {paced}
    litellm_params: {{model: openai/{paced}, api_base: "http://127.0.0.1:{upstream}/v1", api_key: upstream-key}}
litellm_settings:
  telemetry: false
  num_retries: 0
  request_timeout: 120
"""
_AIMS: Final[tuple[tuple[str, PhaseName, int], ...]] = (("P1", "blocking", 60), ("P2", "stream", 120))


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    specifier: str
    keep: Path | None
    streams: int
    without_us: bool


def options(argv: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench/peers.py", description="Measure LiteLLM beside us.")
    parser.add_argument("--litellm", default=_LITELLM, help="what to install (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="keep the virtual environment in this folder, and use it again")
    parser.add_argument("--streams", type=int, default=100, help="paced streams at once (default: %(default)s)")
    parser.add_argument("--without-tertulia", action="store_true", help="litellm and the floor alone")
    given = parser.parse_args(argv)
    return Options(str(given.litellm), given.keep, int(given.streams), bool(given.without_tertulia))


def phases(streams: int) -> Sequence[Phase]:
    """Return the phases in peers' measure: longer, since few answers come, and as many paced streams as asked."""
    return (
        Phase(name="blocking", shape="blocking", connections=32, rounds=3, share=0.25, seconds=3.0, warm_s=0.5),
        Phase(name="stream", shape="stream", connections=32, rounds=3, share=0.35, seconds=4.0, warm_s=0.1),
        Phase(name="one", shape="blocking", connections=1, rounds=3, share=0.15, seconds=2.0, warm_s=0.3),
        Phase(name="paced", shape="paced", connections=streams, rounds=2, share=0.25),
    )


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; return 0, 1 where our answers or books do not hold, 3 where something did not start."""
    asked = options(argv)
    with ExitStack() as stack:
        ground = run.prepare(stack)
        cores = {*ground.measured, *ground.instruments}
        facts = machine.describe(ground.folder, cores)
        company = machine.Company(cores)
        try:
            record, names, findings = _measure(ground, asked)
        except StartError as error:
            run.say(str(error))
            return 3
        facts["company"] = shares = company.shares()
    run.say("\n" + report.measured(record, names))
    _say_ratios(record)
    if findings:
        run.say("\n" + report.found(findings))
    for fault in record.faults:
        run.say(f"FAULT {fault}")
    path = run.RESULTS / f"peers-{report.stamp()}.json"
    books = [asdict(finding) for finding in findings]
    report.write(path, record, {"machine": facts, "litellm": asked.specifier, "books": books}, [])
    run.say(f"\nothers on this machine took {shares['others']:.1%} of the cores\n{path}")
    ours = [fault for fault in record.faults if not fault.startswith("litellm")]
    return 1 if ours or not all(finding.holds for finding in findings) else 0


def install(ground: Ground, asked: Options) -> Path:
    """Install LiteLLM into a virtual environment of its own; return its command. Raises `StartError`."""
    venv = asked.keep or ground.folder / "litellm"
    command = venv.resolve() / "bin" / "litellm"
    if command.exists():
        return command
    run.say(f"installing {asked.specifier}")
    python = venv.resolve() / "bin" / "python"
    for argv in (
        [sys.executable, "-m", "venv", str(venv)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", asked.specifier],
    ):
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_INSTALL_S)
        if done.returncode:
            raise StartError(f"{' '.join(argv[1:])} failed:\n{done.stderr[-1500:].strip()}")
    return command


def litellm(ground: Ground, upstream: System, command: Path) -> System:
    """Start LiteLLM's proxy with one worker."""
    port, key = processes.free_port(), "sk-" + secrets.token_hex(24)
    config = ground.folder / "litellm.yaml"
    config.write_text(_CONFIG.format(instant=wire.INSTANT, paced=wire.paced_model(), upstream=upstream.port))
    path = os.pathsep.join((str(command.parent), os.environ.get("PATH", "")))
    child = processes.start(
        ground.stack,
        "litellm",
        [str(command), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
        log=ground.folder / "litellm.log",
        env=processes.environment(
            PATH=path, LITELLM_LOG="ERROR", LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MASTER_KEY=key
        ),
        cores=ground.measured,
    )
    took = processes.await_ready(child, port, "/health/liveliness", within_s=120)
    run.say(f"litellm was ready after {took:.1f} s")
    return System(name="litellm", port=port, pid=child.pid, key=key)


def _measure(ground: Ground, asked: Options) -> tuple[Record, list[str], list[Finding]]:
    command = install(ground, asked)
    upstream = systems.upstream(ground)
    tested = [systems.floor(ground, upstream), litellm(ground, upstream, command)]
    ours = None
    if not asked.without_us:
        ours = server.Server(ground, upstream)
        tested.append(ours.start())
    where = Field(ground=ground, upstream=upstream, tested=tested, references=[upstream])
    began = time.monotonic()
    record = rounds.run(where, phases(asked.streams), budget_s=_BUDGET_S, say=run.say)
    run.say(f"measured in {time.monotonic() - began:.0f} s")
    findings = ours.stop(record.answered(tested[-1].name)) if ours else []
    return record, [upstream.name, *(system.name for system in tested)], findings


def _say_ratios(record: Record) -> None:
    for mark, phase, aim in _AIMS:
        theirs, floor, ours = (record.of(phase, name).cpu_us() for name in ("litellm", "floor", "tertulia"))
        run.say(f"{mark} {phase}: litellm takes {paired(theirs, floor)} × the floor's CPU time")
        if ratio := paired(theirs, ours):
            verdict = "aim met" if ratio.median >= aim else "aim missed"
            run.say(f"{mark} {phase}: litellm takes {ratio} × Tertulia's CPU time (aim: {aim} ×): {verdict}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
