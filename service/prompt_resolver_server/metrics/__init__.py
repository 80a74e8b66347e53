"""Every metric there is: its name, its labels and its buckets.

Labels come from closed sets: methods, stores and providers from the contract and the configuration,
outcomes from `Reason`, models from those that are vouched for. Nothing that a caller writes becomes
a label; and should a family grow nevertheless, it has at most a thousand series.
"""

from .calls import CallMetrics, CallType, RouteMetrics
from .metrics import Metrics
from .upstream import UpstreamMetrics

__all__ = ["CallMetrics", "CallType", "Metrics", "RouteMetrics", "UpstreamMetrics"]
