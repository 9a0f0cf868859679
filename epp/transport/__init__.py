"""gRPC to Envoy: methods, their servers, certificates. Nothing else in the tree imports grpc."""

import os

# gRPC's core writes to stderr by itself, in lines that are no JSON: at its default one for every failed TLS
# handshake, so for every look of a port scanner. It reads this when it is first used.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
