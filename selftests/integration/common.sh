# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the integration tests share. The tests of the programs have the rest: call,
# expect, run and finish; run finds mounts that are left.

[[ -n ${INTEGRATION_ROOT-} ]] || exec unshare -m /tests/enter "$0"

# shellcheck source=../../user/tests/common.sh
. /tests/library.sh

name=$(basename "$0")
backend=ioctl
tracing=/sys/kernel/tracing
export name backend
# The root of a user namespace has to get through.
chmod 755 "$dir"
echo 1 >$tracing/events/ovltree/ovltree_committed/enable

# From here on, attached counts.
forget_attached()
{
	echo >$tracing/trace
}

# How many trees the module has attached, whoever asked for it.
attached()
{
	local counts

	counts=$(sed -n 's/.* ovltree_committed: .*succeeded=\([0-9]*\).*/\1/p' $tracing/trace)
	echo $((0${counts:++}${counts//$'\n'/+}))
}

# A root that has little but busybox: nothing of it is the host's.
make_rootfs()
{
	local applet

	mkdir -p "$1"/{bin,dev,etc,proc,sys,tmp,usr}
	cp /usr/bin/busybox "$1/bin"
	for applet in cat echo id ls sh sleep stat true; do
		ln -s busybox "$1/bin/$applet"
	done
	echo 'root:x:0:0:root:/:/bin/sh' >"$1/etc/passwd"
	echo 'a container' >"$1/etc/issue"
}

# What a program in the container says of itself, and what it writes.
# shellcheck disable=SC2016 # it is expanded in the container
export script='echo "$(cat /etc/issue) $(id -u) $(stat -c %u:%g /etc/issue)"; echo written >/file'
