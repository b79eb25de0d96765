#!/bin/bash
# Lays out every source file by .clang-format; with --check only says which differ, and fails when one does.
set -euo pipefail
cd "$(dirname -- "$0")/.."
if [[ ${1-} != --check ]]; then
  find src tests -regex '.*\.\(h\|cpp\|cu\|cuh\|inc\)' -exec clang-format-19 -i {} +
  exit
fi
differ=$(find src tests -regex '.*\.\(h\|cpp\|cu\|cuh\|inc\)' -exec clang-format-19 --dry-run {} + 2>&1 |
  sed -n 's/:[0-9]*:[0-9]*: warning:.*//p' | sort -u)
[[ $differ ]] || exit 0
printf '%s\n' "$differ" 'differ from .clang-format: run tools/format.sh'
exit 1
