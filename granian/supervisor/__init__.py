"""The parent of the workers: starts, watches, replaces and stops them.

- `core`: the event loop of the parent. `signals`, `timers` and `reload` (file changes) are what it waits for
  besides workers; `health` and `certificates` are what it looks after.
- `crew`: all workers; `slot`: what becomes of one worker's place; `leaving`: workers on their way out.
- `handle`: what the parent knows of a worker; `process` and `thread`: the two kinds of it.
- `child`: the inside of a worker process; `report`: what both sides say to each other.
- `logfiles`, `pidfile` and `title`: what others see of the processes.
"""
