#!/bin/sh
# Installs the proxies that tests/real starts, where it may: as root, on Debian and what comes of it. What is there
# already is left alone, and what cannot be installed is no error: its tests say that they are skipped.
set -eu

PATH="$PATH:/usr/sbin:/sbin"

missing() {
	command -v squid >/dev/null || echo squid
	command -v tinyproxy >/dev/null || echo tinyproxy-bin
	command -v danted >/dev/null || echo dante-server
	command -v curl >/dev/null || echo curl
	# By it dante gets users with passwords of which this machine knows nothing.
	ls /usr/lib/*/libnss_wrapper.so >/dev/null 2>&1 || echo libnss-wrapper
}

packages=$(missing | tr '\n' ' ')
if [ -z "$packages" ]; then
	exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "tests/real: not installed, and not installable here (it takes root, and apt-get): $packages" >&2
	exit 0
fi

# Nothing of it is to run as a service: the tests start their own, with a configuration and a port of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

install() {
	# shellcheck disable=SC2086  # one word a package
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 --no-install-recommends \
		install --yes $packages >/dev/null
}

echo "tests/real: installing $packages"
if install 2>/dev/null || { apt-get -qq update >/dev/null && install; }; then
	# Nor when this machine starts again.
	case " $packages " in *" squid "*) systemctl disable squid >/dev/null 2>&1 || true ;; esac
	case " $packages " in *" dante-server "*) systemctl disable danted >/dev/null 2>&1 || true ;; esac
else
	echo "tests/real: could not be installed, so the tests that need them are skipped: $packages" >&2
fi
