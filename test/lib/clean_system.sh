# Clean systems made by debootstrap, for the scripts that prove things from nothing
# (test/servers/run, test/packages/run), which source this file.

debian=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

# Leaves unless we are root; installs debootstrap.
require_debootstrap()
{
	[ "$(id -u)" = 0 ] || { echo "debootstrap and chroot need root: sudo $0" >&2; exit 2; }
	command -v debootstrap >/dev/null ||
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null || exit
}

# Makes a system that has nothing but what every system has.
make_system() # suite, folder, mirror, options of debootstrap...
{
	debootstrap --variant=minbase --include=ca-certificates "${@:4}" "$1" "$2" "$3" || return
	# Nobody needs what dpkg has written to survive a crash; and a mirror may stand still.
	echo force-unsafe-io > "$2/etc/dpkg/dpkg.cfg.d/unsafe-io"
	echo 'Acquire::Check-Valid-Until "false";' > "$2/etc/apt/apt.conf.d/90check-valid-until"
}

# Keeps a system as an archive, without the packages that it was made of.
keep_system() # folder, archive
{
	rm -f "$1"/var/cache/apt/archives/*.deb
	tar -C "$1" -cf "$2.new" . && mv "$2.new" "$2"
}

# Unpacks a system.  It looks up names as this machine does.
unpack_system() # archive, folder
{
	mkdir -p "$2" && tar -C "$2" -xf "$1" && chmod 755 "$2" && cp /etc/resolv.conf "$2/etc/resolv.conf"
}

# No package starts a server that nobody has asked for.
forbid_services() # folder
{
	printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"
	chmod 755 "$1/usr/sbin/policy-rc.d"
}

# Runs a command in a system: with processes and mounts of its own, which end with it, and
# with an environment of its own.  Packages that it downloads are in $apt_archives, if that
# is set.
in_system() # folder, command, NAME=value...
{
	unshare --mount --pid --fork --kill-child bash -ec '
		root=$1 archives=$2 command=$3; shift 3
		mount -t proc proc "$root/proc"
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
		mkdir -p "$root/dev/pts"
		mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
		[ -z "$archives" ] || mount --bind "$archives" "$root/var/cache/apt/archives"
		exec chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" bash -ec "$command"' \
		in_system "$1" "${apt_archives:-}" "$2" "${@:3}"
}
