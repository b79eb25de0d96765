#!/usr/bin/env python3
"""Runs `minimax bench` and a peer's benchmark program in turns, with the machine's ceilings measured between them.

    bench/compare.py --minimax build/release/minimax --synthetic s8 --type q4 \\
                     --peer /opt/llama.cpp/build/bin/llama-bench --peer-model s8-q4.gguf --rounds 5
    bench/compare.py ... --rounds 1 --keep s8-q4.jsonl       one more round; the table is of all that are kept there
    bench/compare.py ... --depths 0,4096                     answers after so many tokens instead of prompts

The peer is a program with llama-bench's flags and its JSON (`-o json`); where it comes from is your business. A shared
machine's speed changes by half from minute to minute, so no number stands alone: each round divides what was measured
in that round, and the table gives the median of the rounds with the smallest and the largest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys


def run_json(command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr[-2000:]}")
    # A peer may say something before its JSON.
    starts = [at for at in (result.stdout.find("["), result.stdout.find("{")) if at >= 0]
    if not starts:
        sys.exit(f"{' '.join(command)}: no JSON on stdout\n{result.stderr[-2000:]}")
    return json.loads(result.stdout[min(starts):])


def ceilings(options):
    """Bytes and 8-bit operations a second of all threads."""
    report = run_json([options.minimax, "bench", "--json", "--rounds", "1", "--threads", str(options.threads)])
    most = max(report["ceilings"], key=lambda ceiling: ceiling["threads"])
    return most["read_bytes_per_second"]["median"], most["int8_dot_ops_per_second"]["median"]


def our_model(options):
    return ["--synthetic", options.synthetic, "--type", options.type] if options.synthetic else [options.model]


def ours(options):
    depths = ["--depths", options.depths] if options.depths else []
    return run_json([options.minimax, "bench", *our_model(options), "--json", "--rounds", "1", "--threads",
                     str(options.threads), "--prompt", str(8 if depths else options.prompt), "--answer",
                     str(options.answer), *depths])


def peer_tests(options, *flags):
    return run_json([options.peer, "-m", options.peer_model, "-t", str(options.threads), "-r", "1", "-o", "json",
                     *flags, *options.peer_flags.split()])


def peers(options):
    """Tokens a second of prompt and answer."""
    tests = peer_tests(options, "-p", str(options.prompt), "-n", str(options.answer))
    prompt = [test["avg_ts"] for test in tests if test["n_prompt"] and not test["n_gen"]]
    answer = [test["avg_ts"] for test in tests if test["n_gen"] and not test["n_prompt"]]
    if not prompt or not answer:
        sys.exit(f"{options.peer}: no test of a prompt alone and of an answer alone in its JSON")
    return prompt[0], answer[0]


def speed_round(options):
    """Names and values of one round."""
    read, int8 = ceilings(options)
    report = ours(options)
    read_after, int8_after = ceilings(options)
    read, int8 = max(read, read_after), max(int8, int8_after)
    flops = report["prefill"]["flops"] / options.prompt
    out = {"int8 peak": int8, "read bandwidth": read,
           "prompt": report["prefill"]["tokens_per_second"]["median"],
           "answer": report["decode"]["tokens_per_second"]["median"],
           "prompt share": 100 * report["prefill"]["flops_per_second"]["median"] / int8,
           "answer share": 100 * report["decode"]["weight_bytes_per_second"]["median"] / read}
    if options.peer:
        out["peer prompt"], out["peer answer"] = peers(options)
        out["prompt ratio"] = out["prompt"] / out["peer prompt"]
        out["answer ratio"] = out["answer"] / out["peer answer"]
        # The ceilings that stand beside the peer are those before and after it.
        read_last, int8_last = ceilings(options)
        out["peer prompt share"] = 100 * flops * out["peer prompt"] / max(int8_after, int8_last)
        if options.peer_bytes:
            out["peer answer share"] = 100 * options.peer_bytes * out["peer answer"] / max(read_after, read_last)
    return out


def depth_round(options):
    out = {f"ours {at['depth']}": at["tokens_per_second"]["median"] for at in ours(options)["depths"]}
    if options.peer:
        for test in peer_tests(options, "-p", "0", "-n", str(options.answer), "-d", options.depths):
            out[f"peer {test['n_depth']}"] = test["avg_ts"]
    return out


def spread(values, digits=1):
    if not values:
        return ""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def print_speed(options, rounds):
    def column(name):
        return [one[name] for one in rounds if name in one]

    print(f"| {options.synthetic or options.model}, {options.type}, {options.threads} threads, {len(rounds)} rounds "
          f"| prompt of {options.prompt} | answer of {options.answer} |\n|---|---|---|")
    rows = [("tokens/s", "prompt", "answer"), ("% of int8 peak, of read bandwidth", "prompt share", "answer share"),
            ("peer, tokens/s", "peer prompt", "peer answer"),
            ("peer, % of int8 peak, of read bandwidth", "peer prompt share", "peer answer share"),
            ("times the peer", "prompt ratio", "answer ratio")]
    for title, left, right in rows:
        digits = 2 if "times" in title else 1
        if column(left):
            print(f"| {title} | {spread(column(left), digits)} | {spread(column(right), digits)} |")


def print_depths(options, rounds):
    print(f"| {options.synthetic or options.model}, {options.type}, {options.threads} threads, {len(rounds)} rounds "
          "| tokens/s | of the first | peer, tokens/s | of its first |\n|---|---|---|---|---|")
    depths = options.depths.split(",")
    for depth in depths:
        cells = []
        for who in ("ours", "peer"):
            pairs = [(one[f"{who} {depth}"], one[f"{who} {depths[0]}"]) for one in rounds if f"{who} {depth}" in one]
            cells += [spread([speed for speed, _ in pairs]), spread([speed / first for speed, first in pairs], 2)]
        print(f"| after {depth} tokens | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minimax", required=True, help="our program")
    parser.add_argument("--model", help="a folder, or:")
    parser.add_argument("--synthetic", help="a shape of `minimax bench`")
    parser.add_argument("--type", default="q4", help="recipe of the synthetic weights")
    parser.add_argument("--peer", help="the peer's benchmark program; without it ours stands beside the ceilings alone")
    parser.add_argument("--peer-model", help="its model file")
    parser.add_argument("--peer-flags", default="", help="more flags for it, in one word")
    parser.add_argument("--peer-bytes", type=float, help="bytes of weights that it reads for a token of an answer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--depths", help="answers after so many tokens, the first to stand beside: 0,4096")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", help="a file that rounds are added to; the table is of all of them")
    options = parser.parse_args()
    if bool(options.model) == bool(options.synthetic):
        parser.error("give --model or --synthetic")
    if options.peer and not options.peer_model:
        parser.error("--peer needs --peer-model")

    rounds = []
    if options.keep and os.path.exists(options.keep):
        with open(options.keep, encoding="utf-8") as file:
            rounds = [json.loads(line) for line in file]
    for number in range(1, options.rounds + 1):
        print(f"round {number} of {options.rounds}", file=sys.stderr)
        rounds.append(depth_round(options) if options.depths else speed_round(options))
        if options.keep:
            with open(options.keep, "a", encoding="utf-8") as file:
                file.write(json.dumps(rounds[-1]) + "\n")
    (print_depths if options.depths else print_speed)(options, rounds)


if __name__ == "__main__":
    main()
