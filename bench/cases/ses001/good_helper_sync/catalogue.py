"""What the helper made is closed here."""

from database import Book, open_session


def title_of(book_id: int) -> str:
    with open_session() as session:
        return session.get_one(Book, book_id).title
