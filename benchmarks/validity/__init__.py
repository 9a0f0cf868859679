"""How far `epp simulate` can be trusted: the same arrivals in virtual time and through real processes."""
