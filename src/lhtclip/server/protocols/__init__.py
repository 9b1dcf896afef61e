"""Protocols of other programs, each a thin module over the same service."""
