"""A Dash application with one callback; Dash is Flask, which is WSGI."""

from dash import Dash, Input, Output, dcc, html

dash = Dash(__name__)
dash.layout = html.Div([dcc.Input(id="text", value=""), html.Div(id="shout")])


@dash.callback(Output("shout", "children"), Input("text", "value"))
def shout(text: str) -> str:
    return f"{text.upper()}!"


app = dash.server
