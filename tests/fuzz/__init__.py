"""Fuzzers: not collected by pytest, run by hand or by CI for a time that they are told."""
