"""Bytes to ext_proc messages and answers to bytes: all that a transport needs of protobuf."""

from epp.wire.decoding import decode_request
from epp.wire.encoding import encode_answer

__all__ = ["decode_request", "encode_answer"]
