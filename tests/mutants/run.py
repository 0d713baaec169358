"""Break the code on purpose: each patch beside this file names the test that must turn red.

A patch begins with lines of prose: `Breaks: …` says what, `Test: …` which test (a pytest node id, or `lint-imports`).
The tree is copied, patched, and tested there; the checkout is not touched.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COPIED = ("src", "tests", "pyproject.toml", "bench")


def main() -> int:
    """Run all mutants, or those whose names hold an argument; 1 when one survives."""
    wanted = sys.argv[1:]
    survived: list[str] = []
    patches = [path for path in sorted(HERE.glob("*.patch")) if not wanted or any(w in path.name for w in wanted)]
    for patch in patches:
        breaks, test = _head(patch)
        print(f"{patch.stem}: {breaks} … ", end="", flush=True)
        if _survives(patch, test):
            survived.append(patch.stem)
            print(f"SURVIVED {test}")
        else:
            print("found")
    print(f"{len(patches) - len(survived)} passed, {len(survived)} failed")
    return 1 if survived or not patches else 0


def _head(patch: Path) -> tuple[str, str]:
    lines = dict(line.split(": ", 1) for line in patch.read_text().splitlines()[:2])
    return lines["Breaks"], lines["Test"]


def _survives(patch: Path, test: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(source, tree / name)
        subprocess.run(["git", "apply", "--unsafe-paths", f"--directory={tree}", str(patch)], cwd="/", check=True)
        environment = os.environ | {"PYTHONPATH": str(tree / "src")}
        if test == "lint-imports":
            command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
        else:
            command = [sys.executable, "-m", "pytest", "-q", "-x", test]
        done = subprocess.run(
            command, cwd=tree, env=environment, check=False, capture_output=True, text=True, timeout=600
        )
        if done.returncode not in {0, 1}:
            raise RuntimeError(f"{patch.stem}: {test} could not be run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
