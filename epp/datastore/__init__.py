"""What the picker knows: the pool, its endpoints as columns, objectives, rewrites, adapters, cached prefixes."""
