"""An async endpoint calls a sync helper of another file."""

import rooms
from fastapi import FastAPI

app = FastAPI()


@app.get("/rooms")
async def list_rooms() -> list[str]:
    return rooms.names()
