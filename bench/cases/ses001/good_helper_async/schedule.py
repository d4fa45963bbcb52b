"""What the helper made is closed here."""

from database import Visit, open_session


async def patient_of(visit_id: int) -> str:
    session = open_session()
    try:
        return (await session.get_one(Visit, visit_id)).patient
    finally:
        await session.close()
