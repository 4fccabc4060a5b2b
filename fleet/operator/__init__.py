"""The operator: events -> state (pure fold) -> decide (pure) -> writers. Crash-only; Kubernetes restarts it.

Deployment informer --+                 +--> desired-state writer --> NATS KV
Device informer ------+--> FleetState --+
device-state replica -+     + Recovery  +--> 1 Hz status tick ------> Kubernetes
desired-state replica-+                 +--> /healthz /readyz /recovery /metrics
"""
