"""How long a request would take at each endpoint, learned from answers while serving."""
