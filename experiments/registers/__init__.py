"""Test-time registers (arXiv 2506.08010) beside ATR: do abnormal tokens leave, and does it help?"""
