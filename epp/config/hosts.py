"""How a configuration names a machine."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from epp.config.constraints import quote

# RFC 1123, with the underscores that container networks allow.
_HOST_NAME = re.compile(r"(?=.{1,253}$)(?:\w(?:[\w-]{0,61}\w)?\.)*\w(?:[\w-]{0,61}\w)?", re.ASCII)


def is_ip(host: str) -> bool:
    """Whether `host` is an IP address, and no name that has to be resolved."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def canonical_host(host: str) -> str:
    """The one spelling of an address or a name, so that equal hosts are equal texts."""
    return str(ipaddress.ip_address(host)) if is_ip(host) else host.lower()


@dataclass(frozen=True, slots=True)
class HostAddress:
    """The constraint of a text that is an IP address or a host name, without a port."""

    def objection(self, value: str) -> str | None:
        """See epp.config.constraints.Constraint."""
        if is_ip(value) and "%" not in value:  # a zone, as in fe80::1%eth0, means nothing to Envoy
            return None
        # A name that ends in a number would be taken for IPv4 in an odd spelling, as 10.1 for 10.0.0.1.
        if _HOST_NAME.fullmatch(value) and not value.rpartition(".")[2].isdigit():
            return None
        return f"has to be an IP address or a host name, without brackets or port, not {quote(value)}"
