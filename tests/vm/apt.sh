# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Helpers for Debian's archive, sourced by the scripts that fetch kernels into the cache.

apt_fail() {
    printf "%s\n" "tests/vm/$(basename "$0"): $1" "${@:2}" >&2
    exit 125
}

apt_refresh() {
    if [ "$(id -u)" -eq 0 ]; then
        apt-get update -qq >&2
    elif command -v sudo >/dev/null; then
        sudo apt-get update -qq >&2
    else
        return 1
    fi
}

# The newest version of a package that apt knows; fails if there is none.
apt_newest() {
    local version
    version=$(apt-cache policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }')
    [ -n "$version" ] && echo "$version"
}

# apt_download PACKAGE VERSION FOLDER. As root, apt would switch to a user without write access to the cache.
apt_download() {
    (cd "$3" && apt-get download -qq -o APT::Sandbox::User=root "$1=$2" >&2)
}
