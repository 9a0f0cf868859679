"""What is counted, and how it is told to Prometheus.

`metrics` has one method for each thing that happens, `families` every family, `buckets` the histograms'
bounds, `instruments` the counters themselves and the text they make.
"""

from epp.metrics.metrics import Metrics

__all__ = ["Metrics"]
