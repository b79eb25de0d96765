#!/bin/bash
# CISPO beside DAPO and GRPO, three seeds each, from the same warm-up (make.sh makes it): SECONDS for all nine, side by side
# on a GPU if there is one.
#   models/pico/compare.sh [MINIMAX] [SECONDS]    writes models/pico/work/ and docs/pico_presets.svg
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"
minimax=${1:-../../minimax} seconds=${2:-480}
runs=()
for preset in cispo dapo grpo; do
  sed "s/\"cispo\"/\"$preset\"/" compare.toml >"work_$preset.toml"
  for seed in 1 2 3; do
    timeout -s INT "$seconds" "$minimax" train rl "work_$preset.toml" --seed "$seed" --out "work/${preset}_$seed" -t 1 &
    runs+=("work/${preset}_$seed")
  done
done
wait
rm work_*.toml
python3 -B compare.py ../../docs/pico_presets.svg "${runs[@]}"
