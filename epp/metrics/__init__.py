"""What is counted, and how it is told to Prometheus.

`metrics` has every family and one method per thing that happens, `buckets` the histograms' bounds,
`instruments` the counters themselves and the text they make.
"""

from epp.metrics.metrics import Metrics

__all__ = ["Metrics"]
