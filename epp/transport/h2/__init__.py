"""HTTP/2 (RFC 9113) for a gRPC server, as a pure core: bytes in, events and bytes out; no I/O and no clock.

In reading order: `frames` cuts bytes into frames, `header_blocks` is HPACK, `requests` says which header
lists are malformed, `flow` queues what waits for credit, `stream` is one stream's state, `connection` holds
the rules that join them, `limits` every bound. `grpc` is gRPC on top. `epp.transport.h2_server` is the edge.
"""
