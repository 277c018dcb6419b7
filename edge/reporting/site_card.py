"""What the centre is told of the site: names and layout, no secrets."""

from __future__ import annotations

from edge.config import PanelConfig
from edge.config_phone import PolicyKind
from protocols.mqtt.payloads import CardZone, SiteCard


def site_card(config: PanelConfig) -> SiteCard:
    """The card of this configuration; equal configurations give equal cards."""
    return SiteCard(
        panel=config.id,
        name=config.name,
        name_zh=config.name_zh,
        areas={str(area.number): area.name for area in config.areas},
        areas_zh={str(area.number): area.name_zh for area in config.areas if area.name_zh},
        users={str(user.number): user.name for user in config.users},
        site_class=config.site_class,
        timezone=config.timezone,
        account="" if config.phone is None else config.phone.account,
        phone_marks=config.phone is not None and config.phone.marks,
        phone_always=config.phone is not None and config.phone.policy is PolicyKind.DUAL,
        zones=[
            CardZone(
                zone=zone.number,
                area=zone.area,
                name=zone.name,
                name_zh=zone.name_zh,
                type=zone.type.value,
                technology=zone.technology,
                detector=zone.detector,
                overlaps=zone.overlaps,
                outside=zone.outside,
            )
            for zone in config.zones
        ],
    )
