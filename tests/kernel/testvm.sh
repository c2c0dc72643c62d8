#!/bin/sh
# testvm - what suites expect of the test VM, by Debian's own tools: run inside it, prints TAP.
# A failure here says that the VM is at fault, not what is tested in it.
set -u

[ "${BANGER_TEST_VM:-}" = 1 ] || {
	echo "testvm: only inside scripts/test-vm" >&2
	exit 77
}
n=0
failed=0
check() {
	what=$1
	shift
	n=$((n + 1))
	if output=$("$@" 2>&1); then
		echo "ok $n - $what"
	else
		failed=$((failed + 1))
		echo "not ok $n - $what"
		echo "$output" | sed 's/^/# /'
	fi
}

snapshot_comes_and_goes() {
	truncate -s 8M "$dir/base" "$dir/cow" || return 1
	base=$(losetup -r -f --show "$dir/base") && cow=$(losetup -f --show "$dir/cow") || return 1
	DM_DISABLE_UDEV=1 dmsetup create t --table "0 16384 snapshot $base $cow P 8" || return 1
	dd if=/dev/urandom of=/dev/mapper/t bs=4096 count=1 conv=fsync 2>/dev/null || return 1
	DM_DISABLE_UDEV=1 dmsetup remove t && losetup -d "$base" "$cow"
}

nat_counts() {
	ip link add br0 type bridge && ip address add 10.9.0.1/24 dev br0 && ip link set br0 up || return 1
	nft 'add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; add rule ip t c oifname "br0" masquerade' &&
		nft delete table ip t && ip link delete br0
}

tap_comes_and_goes() { ip tuntap add t0 mode tap && ip link delete t0; }

cgroup_limits() {
	echo +memory +cpu +pids >/sys/fs/cgroup/cgroup.subtree_control && mkdir /sys/fs/cgroup/t &&
		echo 16M >/sys/fs/cgroup/t/memory.max && rmdir /sys/fs/cgroup/t
}

user_namespace() { setpriv --reuid 1000 --regid 1000 --clear-groups unshare -U true; }
files_are_the_hosts() { [ -r "$0" ] && cmp -s "$0" "$(readlink -f "$0")"; }
root_is_writable() { touch /etc/testvm-was-here; }

dir=$(mktemp -d)
echo "1..7"
check "a dm-snapshot comes and goes" snapshot_comes_and_goes
check "bridge and NAT come and go" nat_counts
check "a tap comes and goes" tap_comes_and_goes
check "cgroup2 limits memory" cgroup_limits
check "an ordinary user has a user namespace" user_namespace
check "the host's files are here" files_are_the_hosts
check "the root can be written to" root_is_writable
[ "$failed" -eq 0 ]
