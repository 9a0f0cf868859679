"""What Envoy's bootstrap is made from: the flags of `epp envoy-config`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from epp.config.flags import Complaint, flag
from epp.config.hosts import is_ip
from epp.types import format_address

BodyModeName = Literal["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"]

# TCP and UDP ports are 16 bits, and port 0 cannot be connected to.
PORTS = range(1, 65536)

_UNIX = "unix:"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """`host` is an IP address without brackets or a name."""

    host: str
    port: int

    def __str__(self) -> str:
        return format_address(self.host, self.port)

    @property
    def is_ip(self) -> bool:
        """Whether the host needs no look-up."""
        return is_ip(self.host)


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix domain socket."""

    path: str


def read_address(text: str) -> TcpAddress | UnixAddress:
    """Reads `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; ValueError with a sentence for the user."""
    if text.startswith(_UNIX) and len(text) > len(_UNIX):
        return UnixAddress(text.removeprefix(_UNIX))
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not host or (":" in host) != bracketed or not (port.isascii() and port.isdigit()):
        raise ValueError(f'"{text}" is neither HOST:PORT, [IPV6]:PORT nor unix:PATH')
    if int(port) not in PORTS:
        raise ValueError(f'"{text}" has a port outside 1 to 65535')
    return TcpAddress(host, int(port))


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """One HTTP listener, the picker that it asks and the model servers behind it."""

    host: str = flag("127.0.0.1", help="IP address that the gateway listens on.", heading="Listener")
    port: int = flag(8080, help="Port that the gateway listens on.")
    admin_port: int = flag(9901, help="Port of Envoy's admin page, on 127.0.0.1 only.")
    access_log: str = flag("", help="File of Envoy's access log, e.g. /dev/stdout. Empty: none is written.")
    served_by_header: bool = flag(
        False,
        help="Answers name their server in the header x-served-by, where it did not do so itself. Shows"
        " internal addresses to clients.",
    )

    cluster: Literal["override_host", "original_dst"] = flag(
        "override_host",
        help="How the picker's choice is followed: override_host knows the endpoints from --eds-file and goes"
        " on to the next of the picker's choices when one cannot be reached; original_dst connects to"
        " whatever address the picker names.",
        heading="Model servers",
    )
    eds_file: str = flag(
        "eds.json",
        help="The endpoints, as an EDS response in JSON, for override_host. Replace it by rename: Envoy"
        " watches its folder.",
    )

    picker: str = flag(
        "127.0.0.1:9002", help="Address of the picker: HOST:PORT, [IPV6]:PORT or unix:PATH.", heading="Picker"
    )
    picker_tls: bool = flag(True, help="Speak TLS with the picker.")
    picker_ca: str = flag(
        "",
        help="PEM file of the authorities that may vouch for the picker's certificate, which then has to name"
        " the host of --picker. Empty: any certificate will do.",
    )
    picker_health_check: bool = flag(
        False,
        help="Ask the picker for its health, which it answers if started with --health-checking; otherwise it"
        " is healthy while it takes connections.",
    )
    fail_open: bool = flag(
        False,
        help="When the picker cannot be asked, choose an endpoint without it instead of answering 500. Works"
        " with override_host; with original_dst nothing says where to go then, and the answer is 503.",
    )
    request_body_mode: BodyModeName = flag(
        "FULL_DUPLEX_STREAMED", help="How request bodies are sent to the picker."
    )
    response_body_mode: BodyModeName = flag(
        "FULL_DUPLEX_STREAMED", help="How response bodies are sent to the picker."
    )

    def complaints(self) -> Iterator[Complaint]:
        """What Envoy would refuse, in the words of the flags."""
        if not is_ip(self.host):
            yield Complaint(("host",), f'"{self.host}" is no IP address')
        for name, port in (("port", self.port), ("admin-port", self.admin_port)):
            if port not in PORTS:
                yield Complaint((name,), f"{port} is outside 1 to 65535")
        try:
            address = read_address(self.picker)
        except ValueError as error:
            yield Complaint(("picker",), str(error))
            return
        if self.picker_ca and not self.picker_tls:
            yield Complaint(("picker-ca", "picker-tls"), "is of no use with --picker-tls=false")
        elif self.picker_ca and isinstance(address, UnixAddress):
            yield Complaint(("picker-ca", "picker"), "a Unix socket has no host for the certificate to name")
