"""A Shiny application with one reactive output."""

from shiny import App, render, ui

app_ui = ui.page_fluid(ui.input_numeric("number", "Number", 3), ui.output_text("square"))


def server(input, output, session):
    @render.text
    def square():
        return f"square {input.number() ** 2}"


app = App(app_ui, server)
