"""Texts, and who scores them: `score_text.py` runs the parts `classify`, `translate` and `gpu`.

A contender is a function that starts from nothing, in a process of its own, and says how many texts it scored in how
many seconds, start and loading left out. A part names its contenders, its goals, and what they score.
"""
