#!/usr/bin/env python3
"""Two models' greedy answers to the same problems: paired.py BEFORE.json AFTER.json FIRST_SEED [PROGRAM [SEED COUNT]].

The files are outputs of `minimax train score --json` with --seed FIRST_SEED. A problem that occurs twice counts once (the easy levels
hold few), and those of another set, --seed SEED -n COUNT, not at all. p: two-sided sign test of the problems that changed."""
import json
import math
import pathlib
import subprocess
import sys


def problems(program, task, level, seed, count):
    out = subprocess.run([program, "train", "data", "--task", task, "--level", str(level), "--split", "heldout", "--problems", "--count", str(count),
                          "--seed", str(seed)], capture_output=True, check=True, text=True).stdout
    return [json.dumps(json.loads(line)["messages"]) for line in out.splitlines()]


def sign_test(lost, gained):
    both = lost + gained
    return min(1, 2 * sum(math.comb(both, count) for count in range(min(lost, gained) + 1)) / 2**both)


def read(file):
    return {(row["task"], row["level"]): row["right_of_each"] for row in json.loads(pathlib.Path(file).read_text(encoding="utf-8"))}


def main(before, after, first_seed, program="./minimax", other_seed="", other_count="0"):
    before, after = read(before), read(after)
    for task, level in sorted(set(before) & set(after)):
        asked = problems(program, task, level, first_seed, len(before[task, level]))
        others = set(problems(program, task, level, other_seed, other_count)) if other_seed else set()
        pairs = {text: pair for text, *pair in zip(asked, before[task, level], after[task, level], strict=True) if text not in others}.values()
        lost, gained = sum(old > new for old, new in pairs), sum(old < new for old, new in pairs)
        print(f"{task} {level}: {sum(old for old, _ in pairs)} | {sum(new for _, new in pairs)} of {len(pairs)}, lost {lost}, gained {gained}, "
              f"p {sign_test(lost, gained):.2g}")


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 3 else sys.exit(__doc__)
