# SPDX-License-Identifier: GPL-2.0
"""The figures of "make bench", read from its lines of JSON."""

import json
from collections import namedtuple

THEIRS = ("per-layer", "common-parent", "plain")
OURS = ("ovltree-1", "ovltree-batch", "ovltree-layerset", "ovltree-parallel",
        "ovltree-daemon")
PEERS = THEIRS + OURS
IDLE = "idle"

Setup = namedtuple("Setup", "containers layers threads cpus patched filesystem")
Spread = namedtuple("Spread", "value min max rounds")

# What figures are shown in, and the unit's worth.
UNITS = {
    "time": ("ms", 1e3),
    "read_time": ("ms", 1e3),
    "bystander_p99": ("us", 1e6),
    "hold_max": ("us", 1e6),
    "namespace_sem_write_hold": ("ms", 1e3),
    "namespace_sem_write_hold_max": ("us", 1e6),
    "namespace_sem_read_hold": ("ms", 1e3),
    "mount_lock_write_hold": ("ms", 1e3),
}


def setup(containers=100, layers=50, threads=1, cpus=2, patched=True,
          filesystem="tmpfs"):
    return Setup(containers, layers, threads, cpus, patched, filesystem)


class Figures:
    """Figures by setup, peer, phase and name; a later line replaces an earlier."""

    def __init__(self, paths):
        self._spreads = {}
        for path in paths:
            with open(path, encoding="ascii") as lines:
                for line in lines:
                    self._add(json.loads(line))

    def _add(self, line):
        at = setup(line["containers"], line["layers"], line["threads"],
                   line["cpus"], not line["kernel"].endswith("-unpatched"),
                   line["filesystem"])
        key = (at, line["peer"], line["phase"], line["figure"])
        self._spreads[key] = Spread(line["value"], line["min"], line["max"],
                                    line["rounds"])

    def __bool__(self):
        return bool(self._spreads)

    def setups(self):
        """What was measured, in the order of measurement."""
        return dict.fromkeys(at for at, *_ in self._spreads)

    def columns(self, at):
        """What has figures there: nothing going on, and peers."""
        measured = {peer for where, peer, _, _ in self._spreads if where == at}
        return [peer for peer in (IDLE, *PEERS) if peer in measured]

    def spread(self, at, peer, phase, figure):
        """The figure, or None."""
        return self._spreads.get((at, peer, phase, figure))

    def value(self, at, peer, phase, figure):
        """The figure's median, or None."""
        spread = self.spread(at, peer, phase, figure)
        return spread.value if spread else None


def ratio(a, b):
    return a / b if a is not None and b else None


def show(figure, value):
    """A figure's value in the unit of UNITS."""
    if value is None:
        return "-"
    if figure in UNITS:
        return f"{value * UNITS[figure][1]:.1f}"
    if figure == "read_ratio":
        return f"{value:.3f}"
    return f"{value:.10g}"


def label(figure):
    return f"{figure}, {UNITS[figure][0]}" if figure in UNITS else figure


def title(at):
    text = f"{at.containers} containers, {at.layers} layers, "
    text += f"{at.threads} thread{'s' if at.threads > 1 else ''}, {at.cpus} CPUs"
    if at.filesystem != "tmpfs":
        text += f", {at.filesystem}"
    return text if at.patched else text + ", kernel without the patches"
