"""Search for bytes that make a reader fail: ``python tests/fuzz/run.py graphs_npz manifests -max_total_time=300``.

Needs atheris (extra ``fuzz``). ``all`` is every target, one after the other. What starts with a hyphen goes to libFuzzer; memory
is limited to 4 GB and a try to 25 seconds unless it says otherwise. Exit code 1 if something was found.
"""

import os
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["emprox", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS, examples, run

LIMITS = ("-rss_limit_mb=4096", "-malloc_limit_mb=2048", "-timeout=25")


def search(name: str, options: list[str]) -> None:
    """Start libFuzzer on one target, from its examples; it ends the process."""
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, data in enumerate(examples(name)):
        (corpus / str(number)).write_bytes(data)
        if not run(name, data):
            raise SystemExit(f"example {number} of {name} is not accepted")
    atheris.Setup([sys.argv[0], *LIMITS, *options, str(corpus)], lambda data: run(name, data))
    atheris.Fuzz()


def main() -> None:
    """Search for each target in a process of its own."""
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    if not names or not {*names} <= {*TARGETS, "all"}:
        raise SystemExit(f"expected targets, of: all, {', '.join(TARGETS)}")
    failed = []
    for name in TARGETS if "all" in names else names:
        print(f"target {name}", flush=True)
        if (child := os.fork()) == 0:
            search(name, [word for word in sys.argv[1:] if word.startswith("-")])
        if os.waitpid(child, 0)[1]:
            failed.append(name)
    if failed:
        raise SystemExit(f"something was found in: {', '.join(failed)}")


if __name__ == "__main__":
    main()
