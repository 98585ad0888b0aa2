"""A comparison and a model as one page to look at, and as figures for a paper.

python examples/08_look_at_the_results.py
"""

import json
import tempfile
from pathlib import Path

from emprox import EmProx, Protocol, load_table, run_benchmark
from emprox.report import write_report

table = load_table("bundled")
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)  # choose one that stays to open the page in a browser
    run = run_benchmark("bundled", ["ridge", "emprox"], Protocol((20, 50), test_size=200, trials=3), keep_predictions=True)
    (folder / "results.json").write_text(json.dumps(run))
    known = table.rows(range(50))
    EmProx(random_state=0).fit(known.architectures, known.targets["val_accuracy"]).save(folder / "model")

    page = write_report([folder / "results.json", folder / "model"], folder / "report.html")[0]
    print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB, loads nothing")
    figures = write_report([folder / "results.json"], folder / "figures", format="svg")
    print("figures:", ", ".join(figure.stem for figure in figures))
