"""Choosing an endpoint: profiles of plugins, and decisions that can say why."""
