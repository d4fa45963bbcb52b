"""A worker of Celery, watched, over a broker of files. Its directory is that of this file."""

from pathlib import Path

from celery import Celery
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

import hermetic
from hermetic.finding import Finding
from runtime.models import Post, User

HERE = Path(__file__).parent
FINDINGS = HERE / "findings"

for name in ("queue", "control", "results"):
    (HERE / name).mkdir(exist_ok=True)

engine = create_engine(f"sqlite:///{HERE / 'test.db'}")
app = Celery("shop", broker="filesystem://", backend=f"file://{HERE / 'results'}")
app.conf.broker_transport_options = {
    "data_folder_in": str(HERE / "queue"),
    "data_folder_out": str(HERE / "queue"),
    "control_folder": str(HERE / "control"),
}


def note(finding: Finding) -> None:
    with FINDINGS.open("a") as file:
        file.write(f"{finding.rule} {finding.at.line} {finding.message}\n")


def watch() -> None:
    hermetic.watch("tests", note)


@app.task(name="publish", shared=False)  # type: ignore[untyped-decorator]
def publish(name: str) -> None:
    with Session(engine) as session:
        user = User(name=name)
        session.add(user)
        session.commit()
        session.add(Post(title="On engines", author_id=user.id))
        session.commit()  # mark: second


@app.task(name="lose", shared=False)  # type: ignore[untyped-decorator]
def lose() -> None:
    with Session(engine) as session:
        session.add(User(name="Grace"))  # mark: lost


@app.task(name="write", shared=False)  # type: ignore[untyped-decorator]
def write(name: str) -> None:
    with Session(engine) as session, session.begin():
        session.add(User(name=name))
