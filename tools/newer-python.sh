#!/usr/bin/env bash
# tools/newer-python.sh VERSION COMMAND [ARGUMENT...]
# Runs COMMAND in the current folder where python VERSION is a CPython that this machine's own system is too old for:
# in a root of Debian unstable, which is made once (two to three minutes, 1.5 GB) below ${XDG_CACHE_HOME:-~/.cache}.
# The checkout, cargo and pip's settings are this machine's. Needs Linux, root and debootstrap (or apt, to install it).
#   tools/newer-python.sh 3.14 make test-python PYTHONS=python3.14
# Ends with 69 if there can be no such root here, and says why.
set -euo pipefail

VERSIONS="3.14 3.15"
# A compiler for the extension, and the clients that tests use.
PACKAGES=gcc,g++,libc6-dev,cmake,make,git,ca-certificates,curl,nghttp2-client,openssl,procps

unavailable() {
  echo "no newer CPython here: $1" >&2
  exit 69
}

[ $# -ge 2 ] || { sed -n 's/^# \{0,1\}//p' "$0" | sed 1d >&2; exit 2; }
version=$1
shift
case " $VERSIONS " in *" $version "*) ;; *) unavailable "there is none of version $version (but $VERSIONS)" ;; esac
root="${XDG_CACHE_HOME:-$HOME/.cache}/granian/debian-unstable"

make_root() {
  [ "$(uname)" = Linux ] || unavailable "the system is no Linux"
  [ "$(id -u)" -eq 0 ] || unavailable "only root can make a root of Debian unstable"
  if ! command -v debootstrap >/dev/null; then
    command -v apt-get >/dev/null || unavailable "debootstrap is not installed"
    { apt-get update -qq && apt-get install -y -qq debootstrap; } >/dev/null 2>&1 \
      || unavailable "debootstrap cannot be installed"
  fi
  local mirror packages=$PACKAGES
  # The mirror that this machine's packages come from, if it is Debian's.
  mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  if [ -z "$mirror" ] && [ -f /etc/apt/sources.list ]; then
    mirror=$(awk '/^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^http/) {print $i; exit}}' /etc/apt/sources.list)
  fi
  for one in $VERSIONS; do packages="$packages,python$one,python$one-venv,python$one-dev"; done
  echo "making a root of Debian unstable in $root ..." >&2
  rm -rf "$root"
  mkdir -p "$root"
  # Without the archive's keys where this system has none; what is installed runs in the root alone.
  debootstrap --no-check-gpg --variant=minbase --include="$packages" sid "$root" ${mirror:+"$mirror"} \
    >"$root.log" 2>&1 || unavailable "debootstrap failed: $(tail -n 1 "$root.log") (all of it: $root.log)"
  touch "$root/.done"
}

[ -e "$root/.done" ] || make_root
unshare --mount true 2>/dev/null || unavailable "this process may not have mounts of its own"
# Elsewhere, if the checkout is one of git's further worktrees.
git=$(git rev-parse --path-format=absolute --git-common-dir 2>/dev/null || true)
exec unshare --mount bash -s -- "$root" "$PWD" "$git" "$@" <<'INSIDE'
set -euo pipefail
root=$1 here=$2 git=$3
shift 3
# What the build and the tests use of this machine.
for place in /proc /dev /sys /tmp "$here" "${CARGO_HOME:-$HOME/.cargo}" "${RUSTUP_HOME:-$HOME/.rustup}" /etc/ssl/certs \
  "$git" "${PIP_FIND_LINKS:-}"; do
  [ -n "$place" ] && [ -d "$place" ] || continue
  mkdir -p "$root$place"
  mount --rbind "$place" "$root$place"
done
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.gitconfig"; do
  [ -f "$file" ] || continue
  mkdir -p "$root${file%/*}"
  cp -L "$file" "$root$file"
done
exec chroot "$root" env PATH="${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin" \
  sh -c 'cd "$1" && shift && exec "$@"' sh "$here" "$@"
INSIDE
