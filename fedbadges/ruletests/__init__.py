"""Tests of rules: what they may say, and what comes of them on the daemon's own engine."""
