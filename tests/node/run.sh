#!/bin/bash
# run.sh SUITE BUILD FILE...: the tests FILE... of the folder SUITE under Node's test runner, with the packages of its
# lock file; serve.mjs stands beside them. Suite and packages go to a folder BUILD of the build tree; nothing is written beside the sources. Where the
# Node that is installed is too old for the packages, a newer one comes from the registry too.
# Ends with 77, and says why, where npm or its registry cannot be had.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
suite=$(cd "$1" && pwd)
mkdir -p "$2"
build=$(cd "$2" && pwd)
shift 2
oldest=22

skip() {
  echo "skipped: $*"
  exit 77
}

command -v npm >/dev/null || skip "npm is not installed"

# install FOLDER: what its lock file names, unless it is there already.
install() {
  local folder=$1 sum said
  sum=$(sha256sum <"$folder/package-lock.json")
  [[ $(cat "$folder/node_modules/.of" 2>/dev/null) == "$sum" ]] && return
  # Waiting once for a registry that does not answer is enough for all suites of a run.
  [[ $(find "$unreachable" -mmin -10 2>/dev/null) ]] && skip "the npm registry gave nothing a few minutes ago"
  if ! said=$(cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier \
    --fetch-retries=1 --fetch-timeout=30000 2>&1 </dev/null); then
    if grep -qE 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT' <<<"$said"; then
      touch "$unreachable"
      skip "the npm registry cannot be reached"
    fi
    echo "$said"
    exit 1
  fi
  printf '%s\n' "$sum" >"$folder/node_modules/.of"
}

# Two suites may be started at once.
mkdir -p "$build/../node"
exec {lock}>"$build/../node/.lock"
flock "$lock"
unreachable=$build/../node/.unreachable
node=$(command -v node || true)
if [[ -z $node ]] || (($("$node" -p 'process.versions.node.split(".")[0]') < oldest)); then
  cp "$here"/package*.json "$build/../node/"
  install "$build/../node"
  node=$(cd "$build/../node" && ls "$PWD"/node_modules/node-linux-*/bin/node 2>/dev/null) || {
    # Optional packages, so npm did not mind. Ask again next time.
    rm -rf "$build/../node/node_modules"
    touch "$unreachable"
    skip "Node $oldest or newer is not installed, and could not be had from the npm registry for this machine"
  }
fi
# Only what is newer: another test of the suite may be reading there.
(cd "$suite" && find . '(' -name node_modules -o -name dist ')' -prune -o -type f -print0 |
  xargs -0 cp -u --preserve=timestamps --parents -t "$build")
cp -u --preserve=timestamps "$here"/*.mjs "$build/"
install "$build"
flock -u "$lock"

cd "$build"
MINIMAX_ROOT=$(cd "$here/../.." && pwd) exec "$node" --test --test-concurrency=1 --test-reporter=spec "$@"
