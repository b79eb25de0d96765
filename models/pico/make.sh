#!/bin/bash
# What reinforcement learning adds, in minutes on a laptop: a model of 0.4 million parameters learns chains of + and - from a
# solver's traces until it is right about half the time, then by CISPO from its own attempts, with three seeds.
#   models/pico/make.sh [MINIMAX]    writes models/pico/work/ and docs/pico_chain_sum.svg
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"
minimax=${1:-../../minimax}
mkdir -p work
"$minimax" train data --task chain_sum --level 1-2 --count 40000 --out work/warmup.jsonl
"$minimax" train tokenizer work/warmup.jsonl --kind chat --digits single --tokens 320 --out work/tokenizer
"$minimax" train sft warmup.toml
for seed in 1 2 3; do
  "$minimax" train rl chain_sum.toml --seed "$seed" --out "work/rl$seed"
done
python3 curve.py ../../docs/pico_chain_sum.svg work/rl1 work/rl2 work/rl3
