"""One conversation with Envoy as a state machine: messages in, answers and a request to place out."""
