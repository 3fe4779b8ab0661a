"""Tests of rules: the format of test files, and a runner on the daemon's own engine."""
