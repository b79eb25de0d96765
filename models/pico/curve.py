#!/usr/bin/env python3
"""Held-out scores over the batches of several runs, as SVG: curve.py OUT.svg RUN... Each RUN is a run folder of
`minimax train rl`; one thin line a run, a thick one for their mean."""
import json
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 320, 52, 150, 34, 44
COLORS = ["#1f6feb", "#d9730d", "#1a7f37", "#8250df"]


def scores(run):
    """{name: {batch: score}} of a run."""
    found = {}
    with open(f"{run}/metrics.jsonl", encoding="utf-8") as file:
        for line in map(json.loads, file):
            for name, value in line.items():
                if name.startswith("heldout/") and name != "heldout/reward":
                    found.setdefault(name[len("heldout/"):], {})[line["step"]] = value
    return found


def main(out, runs):
    data = [scores(run) for run in runs]
    names = sorted({name for run in data for name in run})
    last = max(step for run in data for points in run.values() for step in points)
    x = lambda step: LEFT + (WIDTH - LEFT - RIGHT) * step / max(1, last)
    y = lambda value: TOP + (HEIGHT - TOP - BOTTOM) * (1 - value)
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
           'font-family="system-ui, sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           f'<text x="{LEFT}" y="20" font-size="14">held-out score by CISPO, {len(runs)} seeds</text>']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        svg.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>'
                   f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" fill="#57606a">{tick:.0%}</text>')
    for tick in range(0, last + 1, max(1, last // 6)):
        svg.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#57606a">{tick}</text>')
    svg.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="#57606a">batches</text>')
    path = lambda points: "M" + "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in sorted(points.items()))
    for index, name in enumerate(names):
        color = COLORS[index % len(COLORS)]
        for run in data:
            svg.append(f'<path d="{path(run[name])}" fill="none" stroke="{color}" opacity=".35"/>')
        steps = sorted(set.intersection(*(set(run[name]) for run in data)))
        mean = {step: sum(run[name][step] for run in data) / len(data) for step in steps}
        svg.append(f'<path d="{path(mean)}" fill="none" stroke="{color}" stroke-width="2.2"/>')
        svg.append(f'<text x="{WIDTH - RIGHT + 8}" y="{TOP + 12 + 18 * index}" fill="{color}">{name}</text>')
        print(f"{name}: mean {mean[steps[0]]:.3f} at batch {steps[0]}, {mean[steps[-1]]:.3f} at batch {steps[-1]}; runs at the end: "
              + ", ".join(f"{run[name][steps[-1]]:.3f}" for run in data))
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(svg) + "\n</svg>\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
