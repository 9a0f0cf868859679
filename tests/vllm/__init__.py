"""The request path with two real vLLM servers (CPU build): `make test-vllm`."""
