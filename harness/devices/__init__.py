"""Devices that speak the wire contract without running anything: the one place that writes a device-state by hand."""
