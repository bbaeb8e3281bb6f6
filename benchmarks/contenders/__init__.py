"""Who takes part in `score_images.py`: one module a contender, each with its `choices` and its `run`.

`choices` are the settings that a contender's documentation leaves open: each is tried once, the fastest is kept.
`run(job, settings)` starts from nothing, scores the job's images, and says where the seconds went.
`python -m contenders` runs one contender once, in a process of its own.
"""
