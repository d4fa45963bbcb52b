"""The session that the helper made is never closed."""

from database import Book, open_session


def title_of(book_id: int) -> str:
    session = open_session()
    return session.get_one(Book, book_id).title
