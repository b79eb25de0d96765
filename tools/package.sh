#!/bin/bash
# Builds the Debian package in build/package; with --test also unpacks it into an empty folder and tries what is there.
set -euo pipefail
root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
root=${root%/tools}
me=package
. "$root/tools/bootstrap.sh"

fail() {
  say "$*"
  exit 1
}

take_lock
ensure_packages build speed package
configure package
build package "the program"
rm -f "$build_root"/package/*.deb
progress "packing"
(cd "$build_root/package" && cpack -G DEB) >"$build_root/package/cpack.log" 2>&1 </dev/null ||
  die_with_log "$build_root/package/cpack.log" "cpack failed"
progress_end
deb=$(echo "$build_root"/package/*.deb)
echo "$deb"
[[ ${1-} == --test ]] || exit 0

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
dpkg -x "$deb" "$stage"
program=$stage/usr/bin/minimax

[[ $("$program" --version) == "$("$build_root/package/minimax" --version)" ]] || fail "the installed program is another one"
[[ $("$program" --version) == "minimax $(dpkg-deb -f "$deb" Version) "* ]] || fail "the package's version is not the program's"
answer=$("$program" run nano "who are you" --temperature 0 --device cpu -n 100) || fail "the built-in model does not answer"
[[ $answer ]] || fail "the built-in model says nothing"
readelf -d "$program" | grep -E 'RPATH|RUNPATH' && fail "the program looks for libraries where it was built"
readelf -d "$program" | grep 'NEEDED.*\(cuda\|nvidia\|mpi\)' && fail "the program needs a library that not every machine has"
# dpkg-shlibdeps named the packages of the libraries; the C library is the one that is always there.
[[ $(dpkg-deb -f "$deb" Depends) == *libc6* ]] || fail "no dependencies: $(dpkg-deb -f "$deb" Depends)"

bash -n "$stage/usr/share/bash-completion/completions/minimax" || fail "the bash completion does not parse"
bash -c '. "$1" && complete -p minimax' - "$stage/usr/share/bash-completion/completions/minimax" >/dev/null ||
  fail "the bash completion completes nothing"
grep -q '^#compdef minimax' "$stage/usr/share/zsh/vendor-completions/_minimax" || fail "the zsh completion is none"
grep -q '^complete -c minimax' "$stage/usr/share/fish/vendor_completions.d/minimax.fish" || fail "the fish completion is none"

page=$stage/usr/share/man/man1/minimax.1.gz
for verb in $("$program" --help | sed -n '/^Verbs/,/^$/s/^  \([a-z]\+\) .*/\1/p'); do
  zcat "$page" | grep -qx "\.B $verb" || fail "the man page lacks the verb $verb"
done
if command -v man >/dev/null; then
  warnings=$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
  [[ -z $warnings ]] || fail "the man page: $warnings"
fi
for document in copyright changelog.gz; do
  [[ -s $stage/usr/share/doc/minimax/$document ]] || fail "no $document"
done
if command -v lintian >/dev/null; then
  # Not for the archive: no bug that it closes.
  lintian --no-cfg --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs --allow-root "$deb" ||
    fail "lintian (above)"
fi
echo "package tested: installs, runs, completes, documents itself"
