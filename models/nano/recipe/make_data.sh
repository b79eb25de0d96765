#!/bin/bash
# Makes what nano learns from, in FOLDER (data/ beside this file): problems with solutions, problems asked in plain words,
# conversations about itself, and the tokenizer. The same program makes the same files.
#   models/nano/recipe/make_data.sh [FOLDER] [PROGRAM]
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
folder=${1:-$here/data} program=${2:-$here/../../../minimax}
tasks=(addition chain_sum sorting object_counting letter_counting next_number date brackets)

mkdir -p "$folder"
"$program" train data "${tasks[@]/#/--task=}" --level 1-2 --count 160000 --seed 0 --out "$folder/tasks.jsonl"
"$program" train data "${tasks[@]/#/--task=}" --level 1-2 --count 60000 --seed 1000000 --out "$folder/more.jsonl"
python3 -B "$here/make_conversations.py" ask --seed 1 <"$folder/more.jsonl" >"$folder/asked.jsonl"
python3 -B "$here/make_conversations.py" talk --count 30000 --seed 1 --words "$here/words.txt" >"$folder/talk.jsonl"
# Random letters and digits teach a tokenizer nothing: it learns from conversations and a few questions.
head -n 2000 "$folder/asked.jsonl" | cat - <(head -n 12000 "$folder/talk.jsonl") >"$folder/for_tokenizer.jsonl"
"$program" train tokenizer "$folder/for_tokenizer.jsonl" --kind chat --digits single --tokens 1000 --out "$folder/tokenizer"
