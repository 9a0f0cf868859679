"""Simulated vLLM servers: an engine in virtual time, and HTTP in front of it."""
