"""The parent of the workers: starts, watches, replaces and stops them.

`core` runs the event loop of the parent, `slot` says what becomes of one worker's place, `process` and
`thread` are the two kinds of worker, `child` is the inside of a worker process, `report` is what both
sides say to each other.
"""
