#!/bin/bash
# The scores of models/nano/README.md: held-out problems, greedy, on the CPU.
#   models/nano/recipe/score.sh [MODEL] [PROGRAM]
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
model=${1:-nano} program=${2:-$here/../../../minimax}
tasks=(addition chain_sum sorting object_counting letter_counting next_number date brackets)
"$program" train score "$model" "${tasks[@]/#/--task=}" --level 1-3 -n 200 --device cpu
