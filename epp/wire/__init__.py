"""Bytes to messages and back: the ext_proc and health protocols as small dataclasses, without gRPC."""
