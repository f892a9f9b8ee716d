# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of the programs share; $name is what they are called.
set -u

dir=$(mktemp -d /tmp/ovltree-XXXXXX)
nr=0 passed=0 failed=0 skipped=0

# Runs a command; leaves $status, $out and $err.
call()
{
	"$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
	out=$(cat "$dir/out")
	err=$(cat "$dir/err")
}

# Fails the test unless the rest is a command that succeeds.
expect()
{
	"$@" && return
	echo "# not so: $*"
	echo "# status $status, output: ${out//$'\n'/ }, errors: ${err//$'\n'/ }"
	bad=1
}

is() { [ "$1" = "$2" ]; }
matches() { [[ $1 =~ $2 ]]; }
mounted() { mountpoint -q "$1"; }
not() { ! "$@"; }
lines() { [ "$(printf %s "${2:+$2$'\n'}" | wc -l)" -eq "$1" ]; }
json() { python3 -c 'import json, sys; d = json.loads(sys.argv[1]); sys.exit(not eval(sys.argv[2]))' "$out" "$1"; }

# A test is a function; it has a tmpfs of its own as its working folder.
run()
{
	local before

	bad=0
	before=$(cat /proc/self/mountinfo)
	mkdir -p "$dir/t"
	mount -t tmpfs test "$dir/t"
	cd "$dir/t" || exit 1
	mkdir l1 l2 u w m n
	echo l1 >l1/a
	echo l2 >l2/b
	"$1"
	cd /
	expect umount "$dir/t"
	expect is "$before" "$(cat /proc/self/mountinfo)"
	nr=$((nr + 1))
	if [ $bad -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $nr - $name $backend $1"
	else
		failed=$((failed + 1))
		echo "not ok $nr - $name $backend $1"
		umount -R -l "$dir/t" 2>/dev/null
	fi
}

# Runs tests on each backend that is there.
run_all()
{
	local test

	for backend in ${OVLT_BACKENDS:-ioctl mount-api mount-ns}; do
		for test in "$@"; do
			if [ "$backend" = ioctl ] && ! [ -e /dev/ovltree ]; then
				nr=$((nr + 1)) skipped=$((skipped + 1))
				echo "ok $nr - $name $backend $test # SKIP"
			else
				run "$test"
			fi
		done
	done
	backend=auto
}

finish()
{
	rm -rf "$dir"
	echo "1..$nr"
	echo "# $passed passed, $failed failed, $skipped skipped"
	[ $failed -eq 0 ] && [ $passed -gt 0 ]
}
