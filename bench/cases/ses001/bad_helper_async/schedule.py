"""The session that the helper made is never closed."""

from database import Visit, open_session


async def patient_of(visit_id: int) -> str:
    session = open_session()
    return (await session.get_one(Visit, visit_id)).patient
