"""What the demo found, and whether it is good."""

from dataclasses import dataclass, field

DEVICES = {"canary": ("canary-1", "canary-2"), "production": ("shop-1", "shop-2", "shop-3")}


@dataclass(kw_only=True)
class Attack:
    """One attempt on one device: what must come of it, and what came."""

    name: str
    device: str
    expected: str
    outcome: str = "nothing came"

    @property
    def is_as_it_must(self) -> bool:
        """Whether it ended as it must."""
        return self.outcome == self.expected


ATTACKS = 9


@dataclass(kw_only=True)
class Result:
    """`succeeded` are devices that reported version 2, signed; `unmoved` those that still ran it after all attacks."""

    succeeded: list[str] = field(default_factory=list)
    unmoved: list[str] = field(default_factory=list)
    is_ordered: bool = False
    attacks: list[Attack] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether all devices were updated in the order of their groups, and every attack ended as it must."""
        everyone = sorted(device for group in DEVICES.values() for device in group)
        is_updated = sorted(self.succeeded) == everyone and self.is_ordered
        is_attacked = len(self.attacks) == ATTACKS and all(attack.is_as_it_must for attack in self.attacks)
        return is_updated and is_attacked and sorted(self.unmoved) == everyone
