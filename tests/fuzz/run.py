"""Search for bytes that make a reader fail: ``python tests/fuzz/run.py graphs_npz -max_total_time=300``.

Needs atheris (``pip install atheris``). What follows the target goes to libFuzzer; memory is limited to 4 GB and a try to 25
seconds unless it says otherwise. Without a target, lists them.
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["emprox", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS, examples, run

LIMITS = ("-rss_limit_mb=4096", "-malloc_limit_mb=2048", "-timeout=25")


def main() -> None:
    """Start libFuzzer on one target, from its examples."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"expected a target: {', '.join(TARGETS)}")
    name = sys.argv[1]
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, data in enumerate(examples(name)):
        (corpus / str(number)).write_bytes(data)
        if not run(name, data):
            raise SystemExit(f"example {number} of {name} is not accepted")
    atheris.Setup([sys.argv[0], *LIMITS, *sys.argv[2:], str(corpus)], lambda data: run(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
