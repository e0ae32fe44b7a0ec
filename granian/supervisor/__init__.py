"""The parent of the workers: starts, watches, replaces and stops them.

- `core`: the event loop of the parent. `signals`, `timers` and `reload` (file changes) are what it waits for
  besides workers; `health` and the files of certificates are what it looks after.
- `crew`: all workers; `slot`: what becomes of one worker's place; `leaving`: workers on their way out.
- `handle`: what the parent knows of a worker; `process` and `thread`: the two kinds of it.
- `queues`: who accepts while a place is empty; `pidfile`: what others see of the process.

Workers are `granian.worker`, which knows nothing of this package.
"""
