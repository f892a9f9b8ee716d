# SPDX-License-Identifier: GPL-2.0
"""What ovltree has to reach, and whether it does."""

from collections import namedtuple

from figures import IDLE, ratio, setup

Target = namedtuple("Target", "what peer value bound unit")

BASE = setup()


def verdict(target):
    if target.value is None:
        return "not measured"
    if target.bound is None:
        return ""
    return "met" if target.value <= target.bound else "MISSED"


def show_number(target, number):
    if number is None:
        return "-"
    if target.unit:
        return f"{number:.3g} {target.unit}"
    return f"{number:.4g}"


def targets(figures):
    """All targets; one with neither bound is there for its value."""
    best = "ovltree-batch"
    if figures.value(BASE, "ovltree-layerset", "attach", "time") is not None:
        best = "ovltree-layerset"

    def value(peer, phase, figure, **where):
        return figures.value(setup(**where), peer, phase, figure)

    def against(peer, other, phase, figure, other_phase=None):
        return ratio(value(peer, phase, figure),
                     value(other, other_phase or phase, figure))

    def each(peer, containers):
        time = value(peer, "attach", "time", containers=containers)
        return ratio(time, containers)

    def direct(phase="attach", **where):
        return ratio(value(daemon, phase, "time", **where),
                     value("ovltree-1", phase, "time", **where))

    def round_trip(**where):
        seconds = value("round-trip", "attach", "time", **where)
        return None if seconds is None else seconds * 1e3

    def fewest(peer, phase, **where):
        # The round in which the fewest timer interrupts fell.
        spread = figures.spread(setup(cpus=1, **where), peer, phase, "instructions")
        return spread.min if spread else None

    def instructions(phase):
        return ratio(fewest(daemon, phase, containers=1),
                     fewest("ovltree-1", phase, containers=1))

    def patched(phase):
        where = {"containers": 200, "layers": 5}
        return ratio(fewest("tmpfs", phase, **where),
                     fewest("tmpfs", phase, patched=False, **where))

    def hold(peer, **where):
        seconds = value(peer, "both", "hold_max", **where)
        return None if seconds is None else seconds * 1e3

    batch = "ovltree-batch"
    parallel = "ovltree-parallel"
    daemon = "ovltree-daemon"
    rows = [
        ("system calls", batch, value(batch, "both", "syscalls"), 2),
        ("namespace_sem, write", batch,
         value(batch, "both", "namespace_sem_write"), 4),
        ("mount table events", batch, value(batch, "both", "mount_events"), 2),
        ("attach, times common-parent's", batch,
         against(batch, "common-parent", "attach", "time"), 0.8),
        ("detach, times one by one", batch,
         against(batch, "common-parent", "detach", "time"), 0.7),

        ("namespace_sem, write", best, value(best, "both", "namespace_sem_write"), 4),
        ("namespace_sem, read", best, value(best, "both", "namespace_sem_read"), 200),
        ("mount_lock, write", best, value(best, "both", "mount_lock_write"), 1000),
        ("mount_lock, write: the goal", best,
         value(best, "both", "mount_lock_write"), 300),
        ("pcpu_lock", best, value(best, "both", "pcpu_lock"), 2000),
        ("mnt_id_ida", best, value(best, "both", "mnt_id_ida"), 900),
        ("expedited RCU waits", best, value(best, "both", "rcu_expedited"), 4),
        ("mount table events", best, value(best, "both", "mount_events"), 2),
        ("attach, times plain's", best,
         against(best, "plain", "attach", "time"), 1 / 3),
        ("detach, times one by one", best,
         against(best, "common-parent", "detach", "time"), 1 / 4),
        ("stat() p99 in the storm, times idle's", best,
         against(best, IDLE, "both", "bystander_p99"), 1.5),
        ("find and sha256sum, times plain's", best,
         value(best, "both", "read_ratio"), 1.02),
        ("attach at 500 layers, times that at 5", best,
         ratio(value(best, "attach", "time", layers=500),
               value(best, "attach", "time", layers=5)), 1.5),
        ("the same: the goal", best,
         ratio(value(best, "attach", "time", layers=500),
               value(best, "attach", "time", layers=5)), 1.2),
        ("a container's attach at 1000, times that at 10", best,
         ratio(each(best, 1000), each(best, 10)), 1),
        ("namespace_sem, write, of 16 callers' attach, times alone", "ovltree-1",
         ratio(value("ovltree-1", "attach", "namespace_sem_write", threads=16),
               value("ovltree-1", "attach", "namespace_sem_write")), 0.5),
        ("attach prepared by 4 threads on 4 CPUs, times by 1", parallel,
         ratio(value(parallel, "attach", "time", threads=4, cpus=4),
               value(parallel, "attach", "time", cpus=4)), None),
        ("single client's attach, ext4, times the direct ioctl's", daemon,
         direct(containers=1, filesystem="ext4"), 1.5),
        ("single client's detach, ext4", daemon,
         direct("detach", containers=1, filesystem="ext4"), 1.5),
        ("single client's attach and detach, ext4", daemon, direct("both", containers=1, filesystem="ext4"), 1.5),
        ("single client's attach, tmpfs", daemon, direct(containers=1), 1.5),
        ("single client's detach, tmpfs", daemon, direct("detach", containers=1), 1.5),
        ("single client's attach and detach, tmpfs", daemon, direct("both", containers=1), 1.5),
        ("single client's attach, tmpfs, instructions", daemon, instructions("attach"), 1.5),
        ("single client's detach, tmpfs, instructions", daemon, instructions("detach"), 1.5),
        ("single client's attach and detach, tmpfs, instructions", daemon, instructions("both"), 1.5),
        ("single client that asks for nothing", "round-trip",
         round_trip(containers=1), None, "ms"),
        ("attach of 100 clients, times 100 direct callers'", daemon,
         direct(threads=100), None),
        ("attach of 100 clients, times common-parent's", daemon,
         ratio(value(daemon, "attach", "time", threads=100),
               value("common-parent", "attach", "time", threads=100)), None),
        ("attach of 100 clients, times plain's", daemon,
         ratio(value(daemon, "attach", "time", threads=100),
               value("plain", "attach", "time", threads=100)), None),
        ("longest hold of a call, 100 containers", best, hold(best), None, "ms"),
        ("longest hold of a call, 1000 containers", best, hold(best, containers=1000),
         None, "ms"),
        ("longest hold of a call, 10000 containers", best,
         hold(best, containers=10000, layers=5), None, "ms"),
        ("mount(2), times that without the patches, instructions", "tmpfs",
         patched("attach"), 1.01),
        ("umount(2), times that without the patches, instructions", "tmpfs",
         patched("detach"), 1.01),
    ]
    return [Target(*row) if len(row) == 5 else Target(*row, "") for row in rows]
