#!/usr/bin/env python3
"""Held-out scores of several losses over the batches: compare.py OUT.svg RUN...; run folders are named PRESET_SEED."""
import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from plot import Panel, side_by_side

COLORS = {"cispo": 2, "dapo": 1, "grpo": 3, "reinforce": 4}


def main(out, runs):
    found = {}  # preset: [rows of a run]
    for run in runs:
        rows = [json.loads(line) for line in open(f"{run}/metrics.jsonl", encoding="utf-8")]
        found.setdefault(pathlib.Path(run).name.rsplit("_", 1)[0], []).append(rows)
    lines = []
    end = min(max(row["step"] for row in rows if any(key.endswith(".avg") for key in row)) for several in found.values() for rows in several)
    for preset, several in sorted(found.items()):
        name = next(key for row in several[0] for key in row if key.startswith("heldout/") and key.endswith(".avg"))
        scores = [{row["step"]: row[name] for row in rows if name in row and row["step"] <= end} for rows in several]
        steps = sorted(set.intersection(*(set(one) for one in scores)))
        values = {step: [one[step] for one in scores] for step in steps}
        lines.append((f"{preset}, {len(several)} seeds", COLORS.get(preset, 0),
                      [(step, statistics.mean(values[step]), min(values[step]), max(values[step])) for step in steps]))
        last = steps[-1]
        region = [row["ppo/region_frac"] for rows in several for row in rows if "ppo/region_frac" in row]
        cap = [row["cispo/capfrac"] for rows in several for row in rows if "cispo/capfrac" in row]
        print(f"{preset}: batch {steps[0]} {statistics.mean(values[steps[0]]):.3f}, batch {last} {statistics.mean(values[last]):.3f} "
              f"({', '.join(f'{value:.3f}' for value in values[last])}); most of any update's tokens outside 0.8-1.28 {max(region):.2%}, "
              f"above the cap {max(cap):.2%}")
    panel = Panel("held-out attempts at temperature 1 that are right: mean and range of the seeds", "batches of 1,024 attempts and 16 updates",
                  lines, y_range=(0.3, 0.75), percent=True, width=720, height=340)
    pathlib.Path(out).write_text(side_by_side([panel]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:]) if len(sys.argv) > 2 else sys.exit(__doc__)
