"""`epp up`: a whole gateway on this machine; and `epp envoy-config`: Envoy's bootstrap for other machines.

settings ▸ bootstrap (listener, clusters), eds      what Envoy is told (pure but for writing the file)
up_settings ▸ files (documents) ▸ parts (envoy)     what `epp up` starts, and with which files
processes (tether), ports                           how it is started, kept running and ended
up ▸ welcome, table, screen, demo                   the command, and what the user sees of it
"""
