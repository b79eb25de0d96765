#!/bin/bash
# Tests ./minimax and tools/bootstrap.sh in a copy of the repository's scripts, with apt, dpkg, cmake and ninja played by
# small scripts that write down how they were called.
set -euo pipefail
cd "$(dirname -- "$0")/.."
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
chmod 755 "$here"
mkdir -p "$here/fake"
calls=$here/calls
: >"$calls"

# fake NAME: a program in front of PATH; its text comes on stdin, after writing its name and arguments down.
fake() {
  { printf '#!/bin/bash\necho "%s $*" >>%q\n' "$1" "$calls" && cat; } >"$here/fake/$1"
  chmod +x "$here/fake/$1"
}
# shellcheck disable=SC2016  # the fake expands it
fake dpkg-query <<<'cat "$INSTALLED"'
fake apt-cache <<<'exit 0'
fake apt-get <<'END'
echo "apt speaks"
[[ $* == *" install "* || $1 == install ]] || exit 0
echo "dlstatus:1:50.5:Retrieving"
echo "pmstatus:g++:100.0:Installed"
exit "${APT_RC:-0}"
END
fake cmake <<'END'
[[ -z ${CMAKE_RC:-} ]] || { echo "CMake Error: planted"; exit 1; }
touch build/release/build.ninja
echo "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" >build/release/CMakeCache.txt
END
fake ninja <<'END'
cat >/dev/null  # as a compiler might: the program's stdin must still be there afterwards
if [[ -n ${NINJA_RC:-} ]]; then
  echo "@@ 50% compiling a.cpp"; echo "FAILED: a.o"; echo "a.cpp:1: error: planted"
  echo "@@ 60% compiling b.cpp"; exit 1
fi
[[ -e build/release/minimax ]] && { echo "ninja: no work to do."; exit 0; }
echo "@@ 10% compiling a.cpp"; echo "@@100% linking"
printf '#!/bin/bash\nprintf "[%%s]" "$@"; cat\n' >build/release/minimax
chmod +x build/release/minimax
END
# `ninja -C DIR` runs in DIR elsewhere; here the scripts above name paths from the root.

fresh() {
  rm -rf "$here/repo"
  mkdir -p "$here/repo"
  cp -r minimax tools "$here/repo/"
  : >"$calls"
  sed -n 's/^\(build\|speed\) *\([^ |]*\).*/installed \2/p' tools/packages.txt >"$here/installed"
}

# run VAR=VALUE... ARGS: ./minimax with the fakes; leaves stdout, stderr and rc.
run() {
  local variables=()
  while [[ ${1-} == *=* ]]; do variables+=("$1") && shift; done
  rc=0
  (cd "$here/repo" && "${as[@]}" env PATH="$here/fake:$PATH" INSTALLED="$here/installed" "${variables[@]}" ./minimax "$@") \
    >"$here/stdout" 2>"$here/stderr" <<<'from stdin' || rc=$?
}
as=()

failures=0
expect() {  # WHAT PATTERN FILE
  grep -qF -- "$2" "$3" && return
  echo "$1: no «$2» in:" && sed 's/^/    /' "$3"
  failures=$((failures + 1))
}
expect_not() {
  ! grep -qF -- "$2" "$3" && return
  echo "$1: unexpected «$2» in:" && sed 's/^/    /' "$3"
  failures=$((failures + 1))
}
expect_rc() {
  ((rc == $2)) && return
  echo "$1: exit code $rc, expected $2" && sed 's/^/    /' "$here/stderr"
  failures=$((failures + 1))
}

test="first run"
fresh
run "two words" b
expect_rc "$test" 0
expect "$test" '[two words][b]from stdin' "$here/stdout"
expect "$test" 'building the program 100%' "$here/stderr"
expect "$test" 'MINIMAX_TESTS=OFF' "$calls"
expect_not "$test" 'apt-get' "$calls"

test="up to date"
: >"$calls"
run again
expect_rc "$test" 0
expect "$test" '[again]from stdin' "$here/stdout"
[[ ! -s $here/stderr ]] || expect "$test" 'an empty stderr' "$here/stderr"
expect_not "$test" 'dpkg-query' "$calls"
expect_not "$test" 'cmake' "$calls"

test="a tree that was moved"
mv "$here/repo" "$here/moved" && mkdir "$here/repo" && cp -r "$here/moved/." "$here/repo/"
sed -i 's/INTERNAL=.*/INTERNAL=\/nowhere/' "$here/repo/build/release/CMakeCache.txt"
: >"$calls"
run x
expect "$test" 'cmake --preset release' "$calls"
rm -rf "$here/moved"

test="a package is missing"
fresh
sed -i '/libfmt-dev/d' "$here/installed"
if ((EUID == 0)); then
  run x
  expect_rc "$test" 0
  expect "$test" 'installing what is missing: libfmt-dev' "$here/stderr"
  expect "$test" 'installing packages 100%' "$here/stderr"
  expect "$test" 'install -y --no-install-recommends --no-remove libfmt-dev' "$calls"
  expect "$test" '[x]from stdin' "$here/stdout"

  test="apt fails"
  fresh
  sed -i '/libfmt-dev/d' "$here/installed"
  run APT_RC=100 x
  expect_rc "$test" 1
  expect "$test" 'apt speaks' "$here/stderr"
  expect "$test" 'apt-get install -y --no-install-recommends --no-remove libfmt-dev' "$here/stderr"
  expect_not "$test" 'cmake' "$calls"

  test="apt fails for what only speeds up"
  fresh
  sed -i '/ccache/d' "$here/installed"
  run APT_RC=100 x
  expect_rc "$test" 0
  expect "$test" 'going on without' "$here/stderr"

  # An ordinary user without sudo.
  if command -v setpriv >/dev/null; then
    test="neither root nor sudo"
    fresh
    fake sudo <<<'exit 1'
    sed -i '/libfmt-dev/d' "$here/installed"
    chmod a+w "$calls" && chown -R 65534:65534 "$here/repo"
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    run x
    as=()
    expect_rc "$test" 1
    expect "$test" 'libfmt-dev' "$here/stderr"
    expect "$test" 'as root, run:' "$here/stderr"
    expect_not "$test" 'apt-get' "$calls"
  fi
fi

test="configuring fails"
fresh
run CMAKE_RC=1 x
expect_rc "$test" 1
expect "$test" 'CMake Error: planted' "$here/stderr"
expect "$test" 'build/release/configure.log' "$here/stderr"

test="building fails"
fresh
run NINJA_RC=1 x
expect_rc "$test" 1
expect "$test" 'a.cpp:1: error: planted' "$here/stderr"
expect_not "$test" '@@' "$here/stderr"
expect "$test" 'build/release/build.log' "$here/stderr"
[[ ! -s $here/stdout ]] || expect "$test" 'an empty stdout' "$here/stdout"

((failures == 0)) && echo "bootstrap: all as expected"
exit $((failures > 0))
