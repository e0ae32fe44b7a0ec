"""A NiceGUI page that counts on the server, on FastAPI."""

from fastapi import FastAPI
from nicegui import ui

app = FastAPI()


@ui.page("/")
def index() -> None:
    count = {"value": 0}
    label = ui.label("count 0")

    def more() -> None:
        count["value"] += 1
        label.set_text(f"count {count['value']}")

    ui.button("More", on_click=more)
    clock = ui.label("")
    ui.timer(0.2, lambda: clock.set_text("ticked"))


ui.run_with(app, storage_secret="not a secret")
