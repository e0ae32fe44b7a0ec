"""One worker, on its side of the pipe: it knows nothing of the supervisor, which starts it with a `WorkerSpec`.

- `life`: from loading the application to leaving, in a process or a thread; `async_life`: the same on a loop that runs
  already; `serving`: the core's worker, as both drive it.
- `child`: the main function of a worker process; `signals` and `exit`: its signals, and its end in time.
- `spec`: what a worker is started with; `report` and `pipe`: what both sides say to each other.
- `logfiles`, `renewal`, `request_limit`: log files opened anew, certificates read anew, `--max-requests`.
"""
