"""A socket.io server that answers and broadcasts."""

import socketio

sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio)


@sio.event
async def shout(sid, text):
    await sio.emit("heard", text.upper())
    return len(text)
