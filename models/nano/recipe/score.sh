#!/bin/bash
# The scores of models/nano/README.md: held-out problems of all tasks, answered greedily, 16 times at temperature 1, and under
# budgets of thinking. recipe/results.py makes tables and figures of them.
#   models/nano/recipe/score.sh [MODEL] [NAME] [RESULTS] [PROGRAM]    NAME: sft or rl; MINIMAX_DEVICE=cpu for the CPU
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
model=${1:-nano} name=${2:-rl} results=${3:-$here/../results} program=${4:-$here/../../../minimax}
mkdir -p "$results"
score() { "$program" train score "$model" --max-tokens 640 --json "$@"; }
score --level 1-5 -n 200 >"$results/${name}_greedy.json"
score --level 3-5 -n 40 --samples 16 >"$results/${name}_avg16.json"
for budget in 0 8 16 32 64 128 256; do
  score --level 3 -n 100 --max-thinking "$budget" >"$results/${name}_budget_$budget.json"
done
