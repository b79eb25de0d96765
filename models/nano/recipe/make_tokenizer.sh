#!/bin/bash
# Learns nano's tokenizer from conversations and questions in plain words: random letters and digits teach a tokenizer nothing.
#   models/nano/recipe/make_tokenizer.sh DATA OUT [PROGRAM]
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
data=$1 out=$2 program=${3:-$here/../../../minimax}
mkdir -p "$out"
{ head -n 30000 "$data/talk.jsonl"; head -n 3000 "$data/calls.jsonl"; head -n 300 "$data/dialogues.jsonl"
  grep -m 4000 -E '"task": ?"(story|weekday|month)"' "$data/plain.jsonl"
  grep -m 1000 -E '"task": ?"(object_counting|knights|zebra)"' "$data/asked.jsonl"; } >"$out/for_tokenizer.jsonl"
"$program" train tokenizer "$out/for_tokenizer.jsonl" --kind chat --digits single --tokens 4096 --out "$out"
rm "$out/for_tokenizer.jsonl"
