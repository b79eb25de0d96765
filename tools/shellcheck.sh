#!/bin/bash
# Runs shellcheck on every shell script of the project.
set -euo pipefail
cd "$(dirname -- "$0")/.."
shellcheck -x minimax check .ci/run tools/*.sh models/nano/recipe/*.sh tests/node/run.sh tests/server/*.sh
