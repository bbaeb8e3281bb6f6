"""Texts, and who scores them."""
