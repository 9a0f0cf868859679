"""HTTP/2 (RFC 9113) for a gRPC server, as a pure core: bytes in, events and bytes out; no I/O and no clock.

In reading order: `frames` cuts bytes into frames, `header_blocks` is HPACK, `requests` says which header
lists are malformed, `flow` queues what waits for credit, `stream` has the states of streams, `sending` is
all that goes out, `connection` holds the rules for each frame that comes in, `lifetime` those for frames that
do not, `limits` every bound. `grpc` is gRPC on top. `epp.transport.h2_server` is the edge.
"""
