#!/usr/bin/env bash
# Installs what a build, the tests or the load benchmark need and this machine lacks (Debian).
# usage: scripts/install-tools.sh build|test|screenshots|load
set -euo pipefail

case "${1:-}" in
    build) wanted=(cmake:cmake cc:gcc) ;;
    test) wanted=(cmake:cmake cc:gcc chromium:chromium chromedriver:chromium-driver aiosmtpd:python3-aiosmtpd Xvfb:xvfb xdotool:xdotool curl:curl
        module.jwt:python3-jwt module.cryptography:python3-cryptography
        module.requests_oauthlib:python3-requests-oauthlib) ;;
    screenshots) wanted=(cmake:cmake cc:gcc chromium:chromium chromedriver:chromium-driver pngquant:pngquant) ;;
    load) wanted=(cmake:cmake cc:gcc nginx:nginx-light) ;;
    *) echo "usage: $0 build|test|screenshots|load" >&2; exit 2 ;;
esac

# A command, or a module of Debian's own Python.
has() {
    case "$1" in
        module.*) /usr/bin/python3 -c "import ${1#module.}" >/dev/null 2>&1 ;;
        *) PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing=()
for tool in "${wanted[@]}"; do
    has "${tool%%:*}" || missing+=("${tool##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Installing: ${missing[*]}"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "Please install as root: apt-get install ${missing[*]}" >&2; exit 1; }
    sudo=(sudo)
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "This script knows Debian only. Please install: ${missing[*]}" >&2
    exit 1
fi
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
