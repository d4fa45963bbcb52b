"""The async endpoint sends the sync helper to a thread."""

import asyncio

import rooms
from fastapi import FastAPI

app = FastAPI()


@app.get("/rooms")
async def list_rooms() -> list[str]:
    return await asyncio.to_thread(rooms.names)
