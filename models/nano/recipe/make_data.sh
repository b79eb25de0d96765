#!/bin/bash
# Makes what nano learns from, in FOLDER (data/ beside this file): conversations, problems, and the tokenizer unless there
# is one. The same program makes the same files, in under a minute.
#   models/nano/recipe/make_data.sh [FOLDER] [PROGRAM] [PERCENT]    PERCENT of the files' lengths, for tries
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
folder=${1:-$here/data} program=${2:-$here/../../../minimax} percent=${3:-100}
tasks=(addition chain_sum multiplication boolean brackets sorting object_counting letter_counting countdown sudoku knights zebra date caesar
       next_number maze)
mkdir -p "$folder"
part() { printf '%s' $(($1 * percent / 100)); }
problems() { "$program" train data "${tasks[@]/#/--task=}" "$@" 2>/dev/null; }
say() { python3 -B "$here/make_conversations.py" "$@"; }

# Problems in their short form and in plain words; levels 1 to 3 of 5, one trace in ten with a slip and its correction.
for at in 0 1 2 3; do
  problems --level 1-3 --slips 0.1 --count "$(part 120000)" --seed "$((at * 1000000))" >"$folder/tasks.$at" &
done
for at in 0 1; do
  problems --level 1-3 --slips 0.1 --count "$(part 80000)" --seed "$((10000000 + at * 1000000))" | say ask --seed 1 >"$folder/asked.$at" &
done
say plain --count "$(part 200000)" --seed 1 >"$folder/plain.jsonl" &
say talk --count "$(part 100000)" --seed 1 >"$folder/talk.jsonl" &
# Tools: dialogues in a simulated world, and single calls of tools of many names.
"$program" train data --task tool_dialogue --level 1-3 --count "$(part 24000)" --out "$folder/dialogues.jsonl" 2>/dev/null &
say tools --count "$(part 60000)" --seed 1 >"$folder/calls.jsonl" &
# Answers after a thinking that a budget has cut, and conversations whose earlier turns have lost their thinking.
{ problems --level 1-3 --count "$(part 20000)" --seed 20000000; say plain --count "$(part 10000)" --seed 2; } |
  say cut --seed 1 >"$folder/cut.jsonl" &
{ problems --level 1-3 --count "$(part 16000)" --seed 30000000 | say ask --seed 2; say plain --count "$(part 16000)" --seed 3
  say talk --count "$(part 16000)" --seed 3 | grep -v '"learn": "nothing"'; } |
  shuf --random-source=<(yes) | say turns --seed 1 >"$folder/turns.jsonl" &
# What reinforcement learning asks in plain words: other problems, without solutions.
problems --level 1-4 --split train --problems --count "$(part 16000)" --seed 40000000 | say ask --seed 3 >"$folder/asked_problems.jsonl" &
say problems --count "$(part 8000)" --seed 4 >"$folder/plain_problems.jsonl" &
say chats --count "$(part 6000)" --seed 5 >"$folder/chat_problems.jsonl" &
say chats --count 48 --seed 6 >"$folder/chat_heldout.jsonl" &
# One step above the supervised levels, never trained: to watch a run.
problems --level 4 --split heldout --problems --count 256 --seed 50000000 --out "$folder/heldout_problems.jsonl" &
wait
for file in tasks asked; do
  cat "$folder/$file".[0-9] >"$folder/$file.jsonl"
  rm "$folder/$file".[0-9]
done
grep -E '"task": "(chain_sum|multiplication|caesar|addition|date|knights|sudoku|next_number)"' "$folder/asked_problems.jsonl" \
  >"$folder/asked_short_problems.jsonl"
for file in tasks asked plain talk dialogues calls cut turns {asked,asked_short,plain,chat,heldout}_problems chat_heldout; do
  [[ -s $folder/$file.jsonl ]] || { printf 'make_data.sh: %s.jsonl was not made\n' "$file" >&2; exit 1; }
done
[[ -e $folder/tokenizer/tokenizer.json ]] || "$here/make_tokenizer.sh" "$folder" "$folder/tokenizer" "$program"
