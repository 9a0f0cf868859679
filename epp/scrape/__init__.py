"""How loaded is each endpoint? Polls the servers' metrics pages and reads what rides on their answers.

`poller` asks when `cadence` says, over `http_client`; `engines` knows each engine's metrics and reads them
off the page with `exposition`. `load_header` reads the load that an answer carries, `models` the model list.
"""
