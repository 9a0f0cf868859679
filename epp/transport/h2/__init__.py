"""HTTP/2 (RFC 9113) for a gRPC server, as a pure core: bytes in and bytes out; no I/O and no clock.

| module | sections | what it holds |
|---|---|---|
| `frames` | 4, 6, 7 | frames as bytes, types, flags, error codes |
| `header_blocks` | 4.3, RFC 7541 | HPACK |
| `requests` | 8.1 to 8.3 | which header lists are malformed |
| `stream` | 5.1 | the states of streams, and the memory of closed ones |
| `flow`, `sending` | 5.2, 6.9 | all that goes out, and what waits for the peer's credit |
| `session` | 5.1, 5.4, 6.8 | the state of a connection; the ends of streams and of connections |
| `data` | 6.1, 6.9 | DATA, and the credit that the peer gets for it |
| `headers` | 6.2, 6.10, 8.1 | HEADERS and CONTINUATION: requests and trailers |
| `control` | 6.3 to 6.9 | every other frame |
| `connection` | 3.4, 4.1, 5.5 | the way in and out: cuts bytes into frames, calls the rule for each |
| `lifetime`, `limits` | 10.5 | rules for frames that do not come, and for too many of them; every bound |
| `grpc` | | gRPC on top |

`epp.transport.h2_server` is the edge, `epp.transport.h2_calls` runs a method on a stream.
"""
