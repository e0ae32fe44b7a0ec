"""Gradio: its own client, and the page in a browser; results come as server-sent events."""

from __future__ import annotations

from gradio_client import Client

from ..scene import Scene, Visit, browsing


def visit(visit: Visit) -> str:
    """Calls both functions by the client, and one by the page."""
    client = Client(visit.url, verbose=False)
    try:
        assert client.predict("client", api_name="/greet") == "Hello client"
        outputs = [*client.submit(5, api_name="/count")]
        assert outputs == [f"{number}" for number in range(1, 6)], outputs
    finally:
        client.close()
    with browsing(visit.url) as page:
        page.get_by_label("Name").fill("browser")
        page.get_by_role("button", name="Greet").click()
        page.wait_for_function(
            "[...document.querySelectorAll('textarea,input')].some(field => field.value === 'Hello browser')"
        )
    return "result by the client, 5 pieces of a generator, result in the page"


SCENE = Scene(
    name="Gradio",
    package="gradio",
    target="gradio_app:app",
    done="gradio_client: call and generator; browser: a form",
    visit=visit,
    environment={"GRADIO_ANALYTICS_ENABLED": "False"},
)
