"""Metrics in the form of Prometheus, and health checks, over HTTP."""
