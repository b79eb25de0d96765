#!/usr/bin/env python3
"""Tables and figures of models/nano/README.md from what was measured: results.py [RESULTS] [DOCS].

RESULTS (../results beside this file's folder) holds the outputs of score.sh and the metrics of the runs. Prints the tables as Markdown
and writes DOCS/nano_*.svg. Intervals: Wilson's for greedy answers; for several samples of a problem the mean over problems and
1.96 standard errors of it."""
import glob
import json
import math
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE.parent))
from plot import Panel, bars, side_by_side

TASKS = ["addition", "chain_sum", "multiplication", "boolean", "brackets", "sorting", "object_counting", "letter_counting", "countdown", "sudoku",
         "knights", "zebra", "date", "caesar", "next_number", "maze", "tool_dialogue"]
STAGES = ["sft", "rl", "short"]  # first part of the files' names; stages.json says what each is
PRESETS = {"cispo": 2, "dapo": 1, "grpo": 3}


def wilson(right, count):
    z, share = 1.959964, right / count
    middle = (share + z * z / count / 2) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / count / count / 4)
    return share, max(0, middle - half), min(1, middle + half)


def over_problems(right_of_each, samples):
    shares = [right / samples for right in right_of_each]
    mean = sum(shares) / len(shares)
    error = math.sqrt(sum((share - mean) ** 2 for share in shares) / max(1, len(shares) - 1) / len(shares))
    return mean, max(0, mean - 1.96 * error), min(1, mean + 1.96 * error)


def scores(pattern):
    """{(task, level): (share, low, high, problems, in form)} of all files that fit."""
    found = {}
    for file in sorted(glob.glob(pattern)):
        text = pathlib.Path(file).read_text(encoding="utf-8").strip()
        for row in json.loads(text) if text else []:
            each = row["right_of_each"]
            samples = row["problems"] // len(each)
            share = wilson(row["right"], row["problems"]) if samples == 1 else over_problems(each, samples)
            found[row["task"], row["level"]] = (*share, len(each), row["in_form"] / row["problems"])
    return found


def names_of(results):
    """What the stages are called in figures."""
    file = results / "stages.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {stage: stage for stage in STAGES}


def cell(score):
    return f"{score[0]:.0%} ({100 * score[1]:.0f}-{100 * score[2]:.0f})" if score else ""


def table(results, kind):
    data = {stage: scores(f"{results}/{stage}_{kind}*.json") for stage in ("sft", "rl")}
    if not any(data.values()):
        return
    levels = sorted({level for one in data.values() for _, level in one})
    print(f"\n### {kind}\n")
    print("| task | " + " | ".join(f"level {level}: supervised | CISPO" for level in levels) + " |")
    print("|---|" + "---|" * (2 * len(levels)))
    for task in TASKS:
        print(f"| `{task}` | " + " | ".join(cell(data[stage].get((task, level))) for level in levels for stage in ("sft", "rl")) + " |")
    for level in levels:
        better = [task for task in TASKS if (task, level) in data["rl"] and (task, level) in data["sft"]
                  and data["rl"][task, level][1] > data["sft"][task, level][2]]
        worse = [task for task in TASKS if (task, level) in data["rl"] and (task, level) in data["sft"]
                 and data["rl"][task, level][2] < data["sft"][task, level][1]]
        ninety = [task for task in TASKS if data["rl"].get((task, level), (0,))[0] >= 0.9]
        print(f"\nlevel {level}: CISPO at 90% or more on {len(ninety)} of {len(TASKS)} ({', '.join(ninety)}); "
              f"intervals apart: better {', '.join(better) or 'none'}; worse {', '.join(worse) or 'none'}")


def of_the_model(results, levels):
    """The model as it is in the repository."""
    data = scores(f"{results}/nano_greedy*.json")
    if not data:
        return
    print("### nano, greedy\n\n| task | " + " | ".join(f"level {level}" for level in levels) + " |\n|---|" + "---|" * len(levels))
    for task in TASKS:
        print(f"| `{task}` | " + " | ".join(cell(data.get((task, level))) for level in levels) + " |")
    for level in levels:
        good = [task for task in TASKS if data.get((task, level), (0,))[0] >= 0.9]
        print(f"\nlevel {level}: 90% or more on {len(good)} of {len(TASKS)}: {', '.join(good)}")
    in_form = sum(one[3] * one[4] for one in data.values())
    print(f"\nin form: {in_form:.0f} of {sum(one[3] for one in data.values())}")


def lines_of(file):
    return [json.loads(line) for line in open(file, encoding="utf-8")] if os.path.exists(file) else []


def means(rows, name, width):
    """[(step, mean)] of windows."""
    rows = [row for row in rows if isinstance(row.get(name), (int, float))]
    return [(sum(row["step"] for row in part) / len(part), sum(row[name] for row in part) / len(part), None, None)
            for at in range(0, len(rows), width) if (part := rows[at:at + width])]


def learning(results, docs):
    sft, rl = lines_of(f"{results}/sft_metrics.jsonl"), lines_of(f"{results}/rl_metrics.jsonl")
    panels = []
    if sft:
        loss = [("training", 0, means(sft, "loss", max(1, len(sft) // 120)))]
        held = [(row["step"], row["held_out/loss"], None, None) for row in sft if "held_out/loss" in row]
        panels.append(Panel("supervised: loss of a token", "steps", loss + [("held out", 1, held)], y_range=(0, 1)))
    if rl:
        reward = [("reward in training", 2, means(rl, "reward/mean", max(1, len(rl) // 60)))]
        found = {name: [(row["step"], row[name], None, None) for row in rl if name in row]
                 for name in sorted({key for row in rl for key in row if key.startswith("heldout/") and key != "heldout/reward"})}
        # Those that the whole run has; of several only the sampled ones.
        whole = {name: points for name, points in found.items() if len(points) > 1 and points[0][0] == rl[0]["step"] and points[-1][0] == rl[-1]["step"]}
        if len(whole) == 1:
            reward.append(("held out, level 4, greedy", 1, *whole.values()))
        panels.append(Panel("CISPO: share of right answers", "batches", reward,
                            y_range=(0, 0.6 if max(point[1] for _, _, line in reward for point in line) < 0.6 else 1), percent=True))
        sampled = [(name.removeprefix("heldout/").removesuffix(".avg").replace(".", ", level "), (1 + at) % 5, whole[name])
                   for at, name in enumerate(name for name in whole if name.endswith(".avg"))]
        if sampled:
            panels.append(Panel("held out, at temperature 1", "batches", sampled, y_range=(0, 1), percent=True, width=80 + 175 * len(sampled)))
    if panels:
        (docs / "nano_learning.svg").write_text(side_by_side(panels), encoding="utf-8")


def agreement(results, docs):
    rl = [row for row in lines_of(f"{results}/rl_metrics.jsonl") if "mismatch/pearson" in row]
    if not rl:
        return
    pearson = [(row["step"], row["mismatch/pearson"], None, None) for row in rl]
    difference = [(row["step"], row["mismatch/mean_abs_dlogp"], None, None) for row in rl]
    panels = [Panel("sampler and trainer: correlation of probabilities", "batches", [("nano", 2, pearson)], y_range=(0.985, 1),
                    marks=[(0.987, "M1's report, before its fix"), (0.997, "M1's report, after it")]),
              Panel("mean difference of log-probs", "batches", [("nano", 2, difference)])]
    (docs / "nano_agreement.svg").write_text(side_by_side(panels), encoding="utf-8")
    tokens = sum(row["mismatch/tokens"] for row in rl)
    print(f"\n### agreement\n\n{len(rl)} batches, {tokens:,.0f} tokens: correlation {min(p[1] for p in pearson):.5f} at least, "
          f"{sum(p[1] for p in pearson) / len(pearson):.5f} in the mean; largest difference of a log-prob "
          f"{max(row['mismatch/max_abs_dlogp'] for row in rl):.3g}, mean {sum(d[1] for d in difference) / len(difference):.3g}")


def presets(results, docs):
    """Mean and range over the seeds of every held-out score, by batches."""
    runs = {preset: [rows for file in sorted(glob.glob(f"{results}/presets/{preset}_*.jsonl")) if (rows := lines_of(file))] for preset in PRESETS}
    if not all(runs.values()):
        return
    panels = []
    print("\n### presets\n")
    for name in sorted({key for rows in runs["cispo"] for row in rows for key in row if key.startswith("heldout/") and key.endswith(".avg")}):
        lines = []
        for preset, color in PRESETS.items():
            scored = [{row["step"]: row[name] for row in rows if name in row} for rows in runs[preset]]
            line = []
            for step in sorted(set.intersection(*(set(one) for one in scored))):
                values = [one[step] for one in scored]
                line.append((step, sum(values) / len(values), min(values), max(values)))
            if line:
                lines.append((f"{preset}, {len(scored)} seeds", color, line))
                print(f"{name.removeprefix('heldout/')} {preset}: batch {line[0][0]} {line[0][1]:.1%}, batch {line[-1][0]} {line[-1][1]:.1%} "
                      f"({line[-1][2]:.1%}-{line[-1][3]:.1%})")
        panels.append(Panel(f"{name.removeprefix('heldout/').removesuffix('.avg')}: right at temperature 1", "batches", lines, percent=True))
    for preset, several in runs.items():
        # PPO's clipping must have something to drop, else the comparison says nothing.
        region = [row["ppo/region_frac"] for rows in several for row in rows if "ppo/region_frac" in row]
        print(f"{preset}: at most {max(region, default=0):.2%} of an update's tokens outside 0.8-1.28")
    (docs / "nano_presets.svg").write_text(side_by_side(panels), encoding="utf-8")


def budget(results, docs):
    lines = []
    print("\n### budget\n")
    for color, (stage, name) in enumerate(names_of(results).items(), 1):
        line = []
        for file in glob.glob(f"{results}/{stage}_budget_*.json"):
            limit = int(file.rsplit("_", 1)[1].split(".")[0])
            found = {task: one for (task, _), one in scores(file).items() if task != "tool_dialogue"}
            if found:
                right, count = sum(one[0] * one[3] for one in found.values()), sum(one[3] for one in found.values())
                line.append((limit, *wilson(right, count)))
        line.sort()
        if line:
            print(f"{name}: " + ", ".join(f"{limit} tokens {share:.1%}" for limit, share, _, _ in line))
            lines.append((name, color, [(math.log2(limit + 4), share, low, high) for limit, share, low, high in line]))
    if lines:
        limits = sorted({round(2 ** point[0] - 4) for _, _, line in lines for point in line})
        panel = Panel("right answers by thinking budget, 16 tasks of level 4, greedy", "thinking tokens at most", lines, y_range=(0, 0.4), percent=True,
                      x_ticks=[(math.log2(limit + 4), str(limit)) for limit in limits], width=720)
        (docs / "nano_budget.svg").write_text(side_by_side([panel]), encoding="utf-8")


def by_task(results, docs, level):
    names = names_of(results)
    data = [(names[stage], color, scores(f"{results}/{stage}_avg16*.json")) for stage, color in (("sft", 1), ("rl", 2))]
    data = [one for one in data if one[2]]
    if data:
        groups = [(task, [found[task, level][:3] if (task, level) in found else None for _, _, found in data]) for task in TASKS]
        (docs / "nano_tasks.svg").write_text(bars(f"held-out problems of level {level}: mean of 16 attempts at temperature 1", groups,
                                                  [one[0] for one in data], [one[1] for one in data]), encoding="utf-8")


def main():
    results = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results"
    docs = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else HERE.parent.parent / "docs"
    of_the_model(results, [1, 2, 3, 4])
    for kind in ("greedy", "avg16", "avg4"):
        table(results, kind)
    learning(results, docs)
    agreement(results, docs)
    presets(results, docs)
    budget(results, docs)
    by_task(results, docs, 3)


if __name__ == "__main__":
    main()
