"""The life of the server: start, stop, replacing of workers, reload."""
