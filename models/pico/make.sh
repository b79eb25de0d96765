#!/bin/bash
# What reinforcement learning adds, in minutes on a laptop: a model of 0.4 million parameters learns chains of + and - from a
# solver's traces until it is right on four of ten problems with two terms, then by CISPO from its own attempts, with three
# seeds.
#   models/pico/make.sh [MINIMAX]    writes models/pico/work/ and docs/pico_chain_sum.svg
# Six minutes of one core. With AVX-512 the bits, and so the curve, are those of the repository.
set -euo pipefail
[[ ${1:-} ]] && set -- "$(readlink -f -- "$1")"
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"
minimax=${1:-../../minimax}
mkdir -p work
"$minimax" train data --task chain_sum --level 1-2 --count 40000 --out work/warmup.jsonl
"$minimax" train tokenizer work/warmup.jsonl --kind chat --digits single --tokens 320 --out work/tokenizer
# The rise is abrupt, and not at the same step on every machine: 250 steps at a time, and a look. The rate is constant, so
# that going on is the same as never having stopped.
for steps in $(seq 1250 250 5000); do
  "$minimax" train sft warmup.toml --resume --steps "$steps"
  start=work/warmup/checkpoints/step-$(printf %06d "$steps")
  right=$("$minimax" train score "$start" --task chain_sum --level 1 --count 200 --max-tokens 64 --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["right"])')
  echo "after $steps steps: $right of 200"
  if [ "$right" -ge 80 ]; then break; fi
done
rm -rf work/start
cp -r "$start" work/start
for seed in 1 2 3; do
  "$minimax" train rl chain_sum.toml --seed "$seed" --out "work/rl$seed"
done
python3 curve.py ../../docs/pico_chain_sum.svg work/rl1 work/rl2 work/rl3
