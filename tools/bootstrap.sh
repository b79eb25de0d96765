# What ./minimax and ./check share: packages, configuring, building, progress. To be sourced by them, with `root` set to
# the repository and `me` to the name to speak as. Everything is said on stderr: stdout is the program's.
# shellcheck shell=bash

root=${root:?}
me=${me:?}
build_root=$root/build

on_tty=false
[[ -t 2 && ${TERM:-dumb} != dumb ]] && on_tty=true

say() {
  progress_end
  printf '%s: %s\n' "$me" "$*" >&2
}

# progress TEXT [PERCENT]: one line rewritten in place on a terminal; elsewhere a line at the start and at each quarter.
progress_text=''
progress_quarter=-1
progress() {
  local text=$1 percent=${2:-0}
  if $on_tty; then
    printf '\r%s: %s%s\033[K' "$me" "$text" "${2:+ $2%}" >&2
    progress_text=$text
    return
  fi
  [[ $text == "$progress_text" ]] || progress_quarter=-1
  progress_text=$text
  if ((percent / 25 > progress_quarter)); then
    progress_quarter=$((percent / 25))
    printf '%s: %s%s\n' "$me" "$text" "${2:+ $2%}" >&2
  fi
}

progress_end() {
  if $on_tty && [[ $progress_text ]]; then printf '\r\033[K' >&2; fi
  progress_text=''
}

# die_with_log LOG TEXT: the end of the log, where the whole of it is, and the end of this run.
die_with_log() {
  progress_end
  rm -f "$build_root"/.have-*  # perhaps a package was taken away: look again next time
  # A compiler's own words begin at ninja's first FAILED line and are worth more than what other jobs said after it.
  { sed -n '/^FAILED: /,$p' "$1" | grep . || tail -n 40 "$1"; } | grep -v '^@@' | head -n 60 >&2
  say "$2"
  say "the whole log: $1"
  exit 1
}

# --- packages ---------------------------------------------------------------------------------------------------------

# The alternatives (a|b) of each package on the given lists.
packages_of() {
  local list package rest
  while read -r list package rest; do
    [[ " $* " == *" $list "* ]] && printf '%s\n' "$package"
  done < <(grep -v '^#' "$root/tools/packages.txt")
}

# missing_packages LIST...: what is not installed, one name a line.
missing_packages() {
  local installed choice package
  # shellcheck disable=SC2016  # dpkg-query's own variables
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
  while read -r choice; do
    for package in ${choice//|/ }; do
      grep -qxF -- "$package" <<<"$installed" && continue 2
    done
    for package in ${choice//|/ }; do
      # The first that this release of the distribution has; the first of all when its lists are not there to be asked.
      apt-cache show --no-all-versions "$package" >/dev/null 2>&1 && break
      package=${choice%%|*}
    done
    printf '%s\n' "$package"
  done < <(packages_of "$@")
}

# as_root COMMAND: as root already, or through sudo; false where neither is to be had.
as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 2 ]]; }; then
    sudo "$@"
  else
    return 1
  fi
}

# ensure_packages LIST...: installs what is missing; ends the run if it cannot, unless only the list "speed" is concerned.
# Asks dpkg only when the list of packages is newer than the last time this was done.
ensure_packages() {
  local stamp missing
  stamp=$build_root/.have-$(IFS=-; echo "$*")
  [[ $stamp -nt $root/tools/packages.txt ]] && return
  if command -v dpkg-query >/dev/null; then
    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]})) && ! install_packages "$@"; then
      mapfile -t missing < <(missing_packages "${@/#speed/}")
      ((${#missing[@]} == 0)) || exit 1
      say "going on without them: slower builds"
    fi
  else
    say "this is not a Debian system; going on with what is here. The packages wanted, by their Debian names:"
    say "$(packages_of "$@" | paste -sd ' ')"
  fi
  touch "$stamp"
}

# install_packages LIST...: false, with the reason told, when they could not be installed.
install_packages() {
  local missing log=$build_root/apt.log line
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o APT::Status-Fd=1)
  # --no-remove: where an installed package excludes one of ours, say so rather than take it away.
  local install=(install -y --no-install-recommends --no-remove)
  mapfile -t missing < <(missing_packages "$@")
  say "installing what is missing: ${missing[*]}"
  if ! as_root true; then
    say "this user is not root and cannot use sudo; as root, run:"
    say "  apt-get ${install[*]} ${missing[*]}"
    return 1
  fi
  # The lists may be absent, as in a container. A failure is apt's to tell below, if what it has does not suffice.
  as_root "${apt[@]}" update >"$log" 2>&1 </dev/null || true
  # Which of two alternatives is known shows only now.
  mapfile -t missing < <(missing_packages "$@")
  if as_root "${apt[@]}" "${install[@]}" "${missing[@]}" 2>&1 </dev/null | apt_progress 3>>"$log"; then return; fi
  tail -n 15 "$log" >&2
  say "these packages could not be installed; apt's last words are above, the whole log is $log"
  say "with a network (as root), run ./$me again, or:"
  say "  apt-get ${install[*]} ${missing[*]}"
  return 1
}

# Reads what apt says: status lines such as "pmstatus:package:12.3:text" become progress, the others go to descriptor 3.
apt_progress() {
  local line percent
  while IFS= read -r line; do
    percent=$(cut -d: -f3 <<<"$line")
    case $line in
      dlstatus:*) progress "downloading packages" "${percent%.*}" ;;
      pmstatus:*) progress "installing packages" "${percent%.*}" ;;
      *) printf '%s\n' "$line" >&3 ;;
    esac
  done
  progress_end
}

# --- building ---------------------------------------------------------------------------------------------------------

# configured PRESET: whether the tree has been configured. One that was made for another place is taken away.
configured() {
  local dir=$build_root/$1 home
  [[ -e $dir/CMakeCache.txt ]] || return
  home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$dir/CMakeCache.txt")
  [[ $home -ef $root ]] || rm -rf "$dir"
  [[ -e $dir/build.ninja ]]
}

# configure PRESET [-DNAME=VALUE...]: unless the tree is configured so already.
configure() {
  local preset=$1 dir=$build_root/$1
  shift
  if configured "$preset"; then
    local option
    for option in "$@"; do
      grep -q "^${option%%=*}:[A-Z]*=${option#*=}$" <(sed 's/^/-D/' "$dir/CMakeCache.txt") || break
      option=''
    done
    [[ ${option-} ]] || return 0
  fi
  mkdir -p "$dir"
  progress "configuring $preset"
  (cd "$root" && cmake --preset "$preset" "$@") >"$dir/configure.log" 2>&1 </dev/null ||
    die_with_log "$dir/configure.log" "configuring build/$preset failed"
}

# Put before ninja and ctest, for what must hold while the built programs run (ninja runs tests to learn their names).
launcher=()

# build PRESET WHAT [TARGET...]: prints nothing when there is nothing to do.
build() {
  local preset=$1 what=$2 dir=$build_root/$1 line
  shift 2
  if ! NINJA_STATUS='@@%p ' "${launcher[@]}" ninja -C "$dir" "$@" 2>&1 </dev/null | {
    while IFS= read -r line; do
      printf '%s\n' "$line" >&3
      [[ $line =~ ^@@\ *([0-9]+)% ]] && progress "building $what" "${BASH_REMATCH[1]}"
    done
    progress_end
  } 3>"$dir/build.log"; then
    die_with_log "$dir/build.log" "building $what failed"
  fi
}

# One builder at a time in one tree. release_lock before exec, or the program would hold it as long as it runs.
take_lock() {
  mkdir -p "$build_root"
  exec {lock_fd}>"$build_root/.lock"
  flock -n "$lock_fd" && return
  say "waiting for another build in $build_root"
  flock "$lock_fd"
}
release_lock() { exec {lock_fd}>&-; }
