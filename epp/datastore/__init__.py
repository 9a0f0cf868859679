"""What the picker knows: pool, endpoints as columns, objectives, rewrites, adapters, cached prefixes."""
