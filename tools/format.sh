#!/bin/bash
# Lays out every source file by .clang-format; with --check only says which differ, and fails when one does.
set -euo pipefail
cd "$(dirname -- "$0")/.."
mode=(-i)
[[ ${1-} == --check ]] && mode=(--dry-run -Werror)
find src tests -regex '.*\.\(h\|cpp\|cu\|cuh\|inc\)' -print0 | xargs -0 clang-format-19 "${mode[@]}"
