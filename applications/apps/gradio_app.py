"""A Gradio interface with a plain and a generating function, mounted on FastAPI as its guide shows."""

import time

import gradio
from fastapi import FastAPI


def greet(name: str) -> str:
    return f"Hello {name}"


def count(limit: float):
    for number in range(int(limit)):
        time.sleep(0.05)
        yield f"{number + 1}"


with gradio.Blocks() as blocks:
    name = gradio.Textbox(label="Name")
    greeting = gradio.Textbox(label="Greeting")
    gradio.Button("Greet").click(greet, name, greeting, api_name="greet")
    limit = gradio.Number(label="Limit", value=5)
    counted = gradio.Textbox(label="Counted")
    gradio.Button("Count").click(count, limit, counted, api_name="count")

app = gradio.mount_gradio_app(FastAPI(), blocks, path="/")
