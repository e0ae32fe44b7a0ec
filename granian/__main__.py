"""`python -m granian` is `granian`."""

from .cli import entrypoint

if __name__ == "__main__":
    entrypoint()
