#!/usr/bin/env python3
"""Runs `minimax bench` and a peer's benchmark program in turns, with the machine's ceilings measured between them.

    bench/compare.py --minimax build/release/src/cli/minimax --synthetic s8 --type q4 \\
                     --peer /opt/llama.cpp/build/bin/llama-bench --peer-model s8-q4.gguf --rounds 5

The peer is a program with llama-bench's flags and its JSON (`-o json`); where it comes from is your business. A shared
machine's speed changes by half from minute to minute, so no number stands alone: each round divides what was measured
in that round, and the table gives the median of the rounds with the smallest and the largest.
"""

import argparse
import json
import statistics
import subprocess
import sys


def run_json(command):
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}")
    return json.loads(result.stdout)


def ceilings(options):
    """Bytes and 8-bit operations a second of all threads."""
    report = run_json([options.minimax, "bench", "--json", "--rounds", "1", "--threads", str(options.threads)])
    most = max(report["ceilings"], key=lambda ceiling: ceiling["threads"])
    return most["read_bytes_per_second"]["median"], most["int8_dot_ops_per_second"]["median"]


def ours(options):
    model = ["--synthetic", options.synthetic, "--type", options.type] if options.synthetic else [options.model]
    return run_json([options.minimax, "bench", *model, "--json", "--rounds", "1", "--threads", str(options.threads),
                     "--prompt", str(options.prompt), "--answer", str(options.answer)])


def peers(options):
    """Tokens a second of prompt and answer."""
    tests = run_json([options.peer, "-m", options.peer_model, "-t", str(options.threads), "-p", str(options.prompt),
                      "-n", str(options.answer), "-r", "1", "-o", "json", *options.peer_flags.split()])
    prompt = [test["avg_ts"] for test in tests if test["n_prompt"] and not test["n_gen"]]
    answer = [test["avg_ts"] for test in tests if test["n_gen"] and not test["n_prompt"]]
    if not prompt or not answer:
        sys.exit(f"{options.peer}: no test of a prompt alone and of an answer alone in its JSON")
    return prompt[0], answer[0]


def spread(values, digits=1):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minimax", required=True, help="our program")
    parser.add_argument("--model", help="a folder, or:")
    parser.add_argument("--synthetic", help="a shape of `minimax bench`")
    parser.add_argument("--type", default="q4", help="recipe of the synthetic weights")
    parser.add_argument("--peer", help="the peer's benchmark program; without it ours stands beside the ceilings alone")
    parser.add_argument("--peer-model", help="its model file")
    parser.add_argument("--peer-flags", default="", help="more flags for it, in one word")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if bool(options.model) == bool(options.synthetic):
        parser.error("give --model or --synthetic")
    if options.peer and not options.peer_model:
        parser.error("--peer needs --peer-model")

    figures = {name: [] for name in ("prompt", "answer", "prompt share", "answer share", "peer prompt", "peer answer",
                                     "prompt ratio", "answer ratio")}
    for number in range(1, options.rounds + 1):
        print(f"round {number} of {options.rounds}", file=sys.stderr)
        read, int8 = ceilings(options)
        report = ours(options)
        read_after, int8_after = ceilings(options)
        prompt = report["prefill"]["tokens_per_second"]["median"]
        answer = report["decode"]["tokens_per_second"]["median"]
        figures["prompt"].append(prompt)
        figures["answer"].append(answer)
        figures["prompt share"].append(
            100 * report["prefill"]["flops_per_second"]["median"] / max(int8, int8_after))
        figures["answer share"].append(
            100 * report["decode"]["weight_bytes_per_second"]["median"] / max(read, read_after))
        if options.peer:
            peer_prompt, peer_answer = peers(options)
            figures["peer prompt"].append(peer_prompt)
            figures["peer answer"].append(peer_answer)
            figures["prompt ratio"].append(prompt / peer_prompt)
            figures["answer ratio"].append(answer / peer_answer)

    print(f"| {options.synthetic or options.model}, {options.type}, {options.threads} threads "
          f"| prompt of {options.prompt} | answer of {options.answer} |\n|---|---|---|")
    rows = [("tokens/s", "prompt", "answer"), ("% of int8 peak, of read bandwidth", "prompt share", "answer share")]
    if options.peer:
        rows += [("peer, tokens/s", "peer prompt", "peer answer"), ("times the peer", "prompt ratio", "answer ratio")]
    for title, left, right in rows:
        digits = 2 if "times" in title else 1
        print(f"| {title} | {spread(figures[left], digits)} | {spread(figures[right], digits)} |")


if __name__ == "__main__":
    main()
