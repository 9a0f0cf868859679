"""An endpoint picker: tells an Envoy gateway which model server should answer each LLM request.

The way of a request, in the order to read the code:

1. `epp.transport`     bytes of Envoy's ext_proc stream become messages (`epp.wire`), and answers bytes again
2. `epp.conversation`  one stream: passes messages to the state machine and its question to the director
3. `epp.extproc`       the state machine: what to answer to which message, and when to ask for an endpoint
4. `epp.director`      THE MAIN PATH: read the request, have it placed (`epp.placer`), and give it all back
5. `epp.parse`         what is asked for: API, model, prompt; later what the answer says of tokens
6. `epp.admission`     who may go on, who is refused
7. `epp.scheduling`    the profile: filters, weighted scorers, a picker; the decision with its reasons
8. `epp.plugins`       those filters, scorers and pickers, one file each
9. `epp.forecast`      how long the request would take at each endpoint, learned from answers
10. `epp.datastore`    what is known: endpoints as columns, objectives, rewrites, adapters, cached prefixes

What feeds the datastore: `epp.sources` (which endpoints exist, by `epp.kubernetes` among others) and
`epp.scrape` (how loaded they are). What replaces the configuration: `epp.live_config`, with the plugins of
users that `epp.discovery` finds.
Around it: `epp.app` puts the parts together, `epp.admin` and `epp.metrics` show them, `epp.config` reads
flags and files, `epp.gateway` runs Envoy for `epp up`, `epp.sim` simulates servers and `epp.simulate` whole
pools in virtual time, `epp.cli` is the door.
"""
