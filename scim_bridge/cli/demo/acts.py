"""The acts of the demo, in their order."""

from collections.abc import Sequence

from scim_bridge.cli.demo import certificates, drift, first_day, later_days
from scim_bridge.cli.demo.scene import Act

ACTS: Sequence[Act] = (
    Act(
        "Test connection",
        "The button that an administrator presses first: Entra asks for somebody who can't exist.",
        first_day.connect,
    ),
    Act(
        "Hire",
        "Entra sends everybody for the first time, and Ditio gets employees. Three are not simple.",
        first_day.hire,
    ),
    Act(
        "Change",
        "People get other titles, phones, departments and names. Only what differs is sent on.",
        later_days.change,
    ),
    Act(
        "Ditio is down",
        "Ditio breaks off in the middle of a hiring, then answers only 503. Entra hears none of it.",
        later_days.outage,
    ),
    Act(
        "Leave",
        "Accounts are disabled, put in the bin or deleted. People who leave must not keep a login. For the demo, "
        "DELIVERY__END_EMPLOYMENT is at-once; by default the employment ends when the last day is over. "
        "DELIVERY__MAX_ENDED_FRACTION is 1, so everybody may leave; by default the guard holds a sixth ending an hour.",
        later_days.leave,
    ),
    Act(
        "Rehire",
        "Some come back: an account is enabled, taken out of the bin, or made anew.",
        later_days.rehire,
    ),
    Act(
        "Put right",
        "The two who were left waiting are corrected in Entra. Nothing has to be done in the bridge.",
        first_day.put_right,
    ),
    Act(
        "Certificates",
        "They come from Entra, from a competence system and from a file. Ditio shows none, so the bridge remembers.",
        certificates.certificates,
    ),
    Act(
        "Reconcile",
        "Somebody edits in Ditio. Entra never looks back; the bridge does, says what differs and why, and repairs it.",
        drift.reconcile,
    ),
)
