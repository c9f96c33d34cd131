"""The statuses as they are shown: order, colour, icon and what each one means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StatusLook:
    """How one status is shown; `color` is a name of the theme, `paint` the same for charts."""

    name: str
    color: str
    paint: str
    icon: str
    meaning: str


LOOKS = {
    look.name: look
    for look in (
        StatusLook("running", "blue", "#2F7BE8", "play_circle", "its owner is alive"),
        StatusLook("queued", "violet", "#8B5CF6", "schedule", "an engine has it"),
        StatusLook("stale", "orange", "#EA7317", "heart_broken", "its owner is dead or silent"),
        StatusLook("failed", "red", "#DC2F4B", "error", "its code raised"),
        StatusLook("crashed", "red", "#9F1239", "bolt", "its process died"),
        StatusLook("preempted", "yellow", "#CA9A04", "front_hand", "the system ended it"),
        StatusLook("cancelled", "gray", "#7C8798", "cancel", "somebody ended it"),
        StatusLook("success", "green", "#1E9E5A", "check_circle", "made"),
        StatusLook("absent", "gray", "#B4BCCB", "radio_button_unchecked", "never started"),
        StatusLook("unreadable", "orange", "#A8552A", "broken_image", "its files cannot be read"),
    )
}
NAMES = tuple(LOOKS)
NEEDS_ATTENTION = ("stale", "failed", "crashed", "preempted", "unreadable")
IN_FLIGHT = ("running", "queued")


def look_of(status: str | None) -> StatusLook:
    """The look of a status; of an unknown one (a newer format), a grey one with its name."""
    name = status or "absent"
    return LOOKS.get(name) or StatusLook(name, "gray", "#7C8798", "help", "unknown to this version")


def in_order(counts: dict[str, int]) -> list[tuple[str, int]]:
    """The statuses that occur, those that need a look first."""
    known = [(name, counts[name]) for name in NAMES if counts.get(name)]
    return known + sorted((n, c) for n, c in counts.items() if c and n not in LOOKS)
