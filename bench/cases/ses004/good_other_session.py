"""Names that only look like a database session's."""

from fastapi import FastAPI, Request

app = FastAPI()


class Cart:
    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    def get(self, name: str) -> int:
        return self.items.get(name, 0)

    def commit(self) -> None:
        self.items.clear()


@app.get("/me")
async def me(request: Request) -> str:
    session = request.session
    return str(session.get("user"))


async def check_out(session: Cart, name: str) -> int:
    amount = session.get(name)
    session.commit()
    return amount
