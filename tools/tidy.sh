#!/bin/bash
# clang-tidy by .clang-tidy on the given files or folders of src/, by default all of them but the tests. Needs a
# configured build tree (./minimax makes build/release), whose flags it uses.
#   tools/tidy.sh src/core src/io/json_parse.cpp
set -euo pipefail
cd "$(dirname -- "$0")/.."
[[ -e build/release/compile_commands.json ]] || {
  echo 'tidy: no build/release/compile_commands.json; run ./minimax --version first' >&2
  exit 1
}
(($#)) || set -- src
# g++'s flags that clang does not know are not findings.
find "$@" -name '*.cpp' ! -name '*_test.cpp' -print0 |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy-19 -p build/release --quiet --extra-arg=-Wno-unknown-warning-option
