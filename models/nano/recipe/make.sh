#!/bin/bash
# Makes nano and what models/nano/README.md says of it, on one GPU, uninterrupted or in pieces: what is done is not done again.
#   models/nano/recipe/make.sh [FLAG...] [STAGE...]
# Stages, in this order when none is named:
#   data     problems, conversations and the tokenizer
#   sft      supervised.toml
#   short    reinforced.toml: CISPO with a short window, from the end of sft
#   long     reinforced_long.toml: CISPO with a longer window, from the end of short
#   presets  presets.toml: CISPO, DAPO and GRPO with three seeds each and sixteen updates a batch, from the end of sft
#   scores   held-out problems, by the supervised model and both windows' ones; on the CPU, beside the stages above when all are made
#   plots    tables (plots.md) and figures
# Flags:
#   --device cuda|cpu   where to train [cuda]
#   --seconds N         stop after so many seconds; the same command goes on from there
#   --work FOLDER       where all is made [models/nano/work]
#   --out FOLDER        what is worth carrying away, each stage's files in pieces below 16 MB [WORK/out]; cat STAGE.tar.gz.* | tar xz
#   --program FILE      [./minimax]
#   --smoke             every stage on the CPU with sizes that take seconds: whether all is in its place; the model is none
set -euo pipefail
recipe=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
all=(data sft short long presets scores plots)
work=$recipe/../work out='' program=$recipe/../../../minimax device=cuda seconds=86400 smoke='' stages=()
die() { printf 'make.sh: %s\n' "$*" >&2; exit 1; }
while (($#)); do
  case $1 in
    --smoke) smoke=1 device=cpu; shift; continue ;;
    --work | --out | --program | --device | --seconds) (($# > 1)) || die "$1 wants a value"; declare "${1#--}=$2"; shift 2; continue ;;
    -*) die "unknown flag $1" ;;
  esac
  [[ " ${all[*]} " == *" $1 "* ]] || die "unknown stage $1; there are ${all[*]}"
  stages+=("$1"); shift
done
mkdir -p "$work"
work=$(readlink -f -- "$work") program=$(readlink -f -- "$program") out=${out:-$work/out}
mkdir -p "$work/done" "$work/results" "$out"
export PYTHONDONTWRITEBYTECODE=1
begin=$SECONDS
left() { echo $((begin + seconds - SECONDS)); }
say() { printf '[%4d s] %s\n' $((SECONDS - begin)) "$*"; }
is_done() { [[ -e $work/done/$1 ]]; }
out_of_time() { say "the time is over in $1; the same command goes on from here"; exit 3; }

keep() { # STAGE PATH...: paths in the work folder
  rm -f "$out/$1".tar.gz.*
  tar cz -C "$work" "${@:2}" | split -b 15000000 - "$out/$1.tar.gz."
}
steps_of() { sed -nE 's/^(steps|batches) = ([0-9]+).*/\2/p' "$1" | head -n 1; }
checkpoint() { printf '%s/runs/%s/checkpoints/step-%06d' "$work" "$1" "$(steps_of "$work/$2.toml")"; }
model_files() { # CHECKPOINT, relative to the work folder
  local name
  for name in config.json model.safetensors tokenizer.json tokenizer_config.json vocab.json merges.txt; do echo "${1#"$work"/}/$name"; done
}

# The recipe as it is run: its data in the work folder, and under --smoke small.
tiny_sft=(model.shape='"pico"' model.ffn= batch.tokens=1024 batch.pass_tokens=2048 held_out.tokens=1024 held_out.every=2 schedule.steps=4
          schedule.warmup=1 schedule.decay_steps=1 checkpoints.every=2 sample.max_tokens=4)
tiny_rl=(batches=2 evaluate_every=1 rollout.prompts=8 rollout.group_size=4 rollout.window=80 rollout.max_tries=1 rollout.max_running=32
         rollout.scoring_threads=1 updates.minibatches=2 updates.warmup=1 updates.pass_tokens=2048 evaluate.count=2)
recipe_of() { # NAME OUT KEY=VALUE...
  "$recipe/set_keys.py" "$recipe/$1.toml" "$work/$2.toml" "${@:3}"
  # A verifier's program is started in the folder of the run, which may be any.
  sed -i "s|python3 -B models/nano/recipe/|python3 -B $recipe/|" "$work/$2.toml"
}
train() { # sft|rl RECIPE RUN FLAG...: goes on where an earlier try ended
  local kind=$1 run=$work/runs/$3 last
  last=$(checkpoint "$3" "$2")
  [[ -d $last ]] && return
  [[ -n $(ls "$run/checkpoints" 2>/dev/null) ]] || rm -rf "$run"
  (($(left) > 0)) || out_of_time "$3"
  timeout -k 60 -s INT "$(left)" "$program" train "$kind" "$work/$2.toml" --resume --out "$run" --device "$device" "${@:4}" || true
  [[ -d $last ]] && return
  (($(left) > 0)) && die "$3 ended before ${last##*/}"
  out_of_time "$3"
}

data() {
  "$recipe/make_data.sh" "$work/data" "$program" "${smoke:-100}"
  keep data data/tokenizer
}
sft() {
  recipe_of supervised supervised ${smoke:+"${tiny_sft[@]}"}
  train sft supervised sft
  cp "$work/runs/sft/metrics.jsonl" "$work/results/sft_metrics.jsonl"
  # shellcheck disable=SC2046
  keep sft results/sft_metrics.jsonl $(model_files "$(checkpoint sft supervised)")
}
reinforce() { # STAGE RECIPE CHECKPOINT
  recipe_of "$2" "$2" model.checkpoint="\"$3\"" ${smoke:+"${tiny_rl[@]}"}
  train rl "$2" "$1"
  cp "$work/runs/$1/metrics.jsonl" "$work/results/$1_metrics.jsonl"
  # shellcheck disable=SC2046
  keep "$1" "results/$1_metrics.jsonl" "runs/$1/updates.jsonl" $(model_files "$(checkpoint "$1" "$2")")
}
short() { # Attempts of a model of four steps are all wrong and teach nothing: under --smoke those of the one that we have.
  local start
  if [[ $smoke ]]; then start=$(readlink -f -- "$recipe/.."); else start=$(checkpoint sft supervised); fi
  reinforce short reinforced "$start"
}
long() { reinforce long reinforced_long "$(checkpoint short reinforced)"; }
presets() {
  local preset seed
  mkdir -p "$work/results/presets"
  # One after another: runs beside each other on one GPU wait for each other, and their times say nothing. Seeds outside, so that
  # what an early end leaves can be compared.
  for seed in 1 2 3; do
    for preset in cispo dapo grpo; do
      recipe_of presets "$preset" model.checkpoint="\"$(checkpoint sft supervised)\"" loss.preset="\"$preset\"" \
        ${smoke:+"${tiny_rl[@]}" rollout.prompts=2 rollout.window=24 evaluate.samples=2}
      train rl "$preset" "${preset}_$seed" --seed "$seed"
      cp "$work/runs/${preset}_$seed/metrics.jsonl" "$work/results/presets/${preset}_$seed.jsonl"
      rm -f "$work/runs/${preset}_$seed"/checkpoints/*/optimizer.safetensors
    done
  done
  keep presets results/presets
}
scores_of() { # STAGE RECIPE NAME
  local flags=(200 --device cpu -t $(($(nproc) > 5 ? $(nproc) - 3 : $(nproc))))
  [[ $smoke ]] && flags=(1 --device cpu --max-tokens 12 --task chain_sum --task sorting --task tool_dialogue)
  (($(left) > 0)) || return 3
  timeout "$(left)" "$recipe/score.sh" "$(checkpoint "$1" "$2")" "$3" "$work/results" "$program" "${flags[@]}" || return 3
}
score_all() { # [beside]: waits for the stages
  local one
  for one in "sft supervised sft" "long reinforced_long rl" "short reinforced short"; do
    # shellcheck disable=SC2086
    set -- "${1:-}" $one
    until is_done "$2"; do
      [[ $1 == beside ]] || die "scores: $2 is not made yet"
      (($(left) > 0)) || return 3
      sleep 1
    done
    scores_of "$2" "$3" "$4" || return 3
  done
}
beside=''
scores() {
  if [[ $beside ]]; then wait "$beside" || true; beside=''; fi
  score_all || out_of_time scores
  keep scores results
}
plots() {
  # One curve through both windows.
  python3 -B - "$work/results" >"$work/results/rl_metrics.jsonl" <<'PYTHON'
import json, sys
done = 0
for name in ("short", "long"):
    with open(f"{sys.argv[1]}/{name}_metrics.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        print(json.dumps({**row, "step": row["step"] + done}))
    done = rows[-1]["step"] + done
PYTHON
  mkdir -p "$work/docs"
  printf '{"sft": "supervised, %s steps", "rl": "and %s batches of CISPO", "short": "%s of them, window %s"}\n' \
    "$(steps_of "$work/supervised.toml")" $(($(steps_of "$work/reinforced.toml") + $(steps_of "$work/reinforced_long.toml"))) \
    "$(steps_of "$work/reinforced.toml")" "$(sed -n 's/^window = //p' "$work/reinforced.toml")" >"$work/results/stages.json"
  python3 -B "$recipe/results.py" "$work/results" "$work/docs" >"$work/docs/plots.md"
  keep plots docs
}
end() { if [[ $beside ]]; then kill -- "-$beside" 2>/dev/null || true; fi; }
trap end EXIT

if ((!${#stages[@]})); then
  stages=("${all[@]}")
  set -m # a process group of its own
  score_all beside >"$work/scores.log" 2>&1 &
  set +m
  beside=$!
fi
for stage in "${stages[@]}"; do
  if is_done "$stage"; then
    say "$stage: done before"
    continue
  fi
  say "$stage"
  "$stage"
  touch "$work/done/$stage"
done
say "done: $work, $out"
