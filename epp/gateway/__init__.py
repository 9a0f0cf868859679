"""`epp up`: a whole gateway on this machine, and Envoy's bootstrap for other machines.

settings ▸ bootstrap (listener, clusters) ▸ envoy ▸ processes ▸ up ▸ table | demo; eds keeps the endpoints.
"""
