"""Environments: real services behind fault points, with witnesses beside them.

Foundation (one per worker)      Environment (one per test)
  warden, toolchain                nats-server <- toxiproxy "nats" <------ operator
  etcd + kube-apiserver            kube-apiserver <- gate <- toxiproxy "kube" <-+
  toxiproxy-server                 nats-server <- toxiproxy "devices" <--- scripted devices
"""

from harness.env.environment import Environment
from harness.env.foundation import Foundation

__all__ = ["Environment", "Foundation"]
