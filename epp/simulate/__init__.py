"""Policies compared in virtual time: the real scheduler and datastore over many simulated engines."""
