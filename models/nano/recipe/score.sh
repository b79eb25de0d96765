#!/bin/bash
# The scores of models/nano/README.md: held-out problems of all tasks, answered greedily, 16 times at temperature 1, and under
# budgets of thinking. recipe/results.py makes tables and figures of them. A file that is there stays: a run that was ended goes on.
#   models/nano/recipe/score.sh [MODEL] [NAME] [RESULTS] [PROGRAM] [PROBLEMS] [FLAG...]
# NAME: sft, short or rl, the files' first part; PROBLEMS: of each task and level, a fifth of it with 16 attempts each, half of it for
# each budget; flags: of minimax train score, as --device cpu -t 8. KINDS="greedy avg16 budget": which.
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
model=${1:-nano} name=${2:-rl} results=${3:-$here/../results} program=${4:-$here/../../../minimax} problems=${5:-200}
shift $(($# < 5 ? $# : 5))
mkdir -p "$results"
score() { # FILE FLAG...
  local file=$results/${name}_$1.json
  shift
  [[ -s $file ]] && return
  # Of two flags the last one counts.
  "$program" train score "$model" --max-tokens 640 --json "$@" >"$file.part"
  mv "$file.part" "$file"
}
for kind in ${KINDS:-greedy avg16 budget}; do
  case $kind in
    greedy) score greedy --level 1-5 -n "$problems" "$@" ;;
    avg16) score avg16 --level 3-5 -n $(((problems + 4) / 5)) --samples 16 "$@" ;;
    budget)
      for budget in 0 8 16 32 64 128 256 512; do
        score "budget_$budget" --level 4 -n $(((problems + 1) / 2)) --max-thinking "$budget" "$@"
      done
      ;;
    *) printf 'score.sh: KINDS: greedy, avg16 or budget, not "%s"\n' "$kind" >&2; exit 1 ;;
  esac
done
