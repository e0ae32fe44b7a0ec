"""Hours in minutes: mixed load on a service whose workers are replaced and killed all the time.

`make soak SECONDS=600` runs it. `service` is the server and its application, `clients` the load, `trouble`
what is done to the workers, `watch` what is measured, `__main__` the run and its verdict.
"""
