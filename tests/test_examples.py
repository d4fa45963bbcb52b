"""The two shops of `examples/`: what hermetic says about them, and what happens when they run.

`shop` has every anti-pattern, `shop_airtight` has the same features without them. Both tell the same story; where they
differ, the mistake that hermetic reports is seen to happen in the one, and not to happen in the other.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.exc import MissingGreenlet, PendingRollbackError
from sqlalchemy.pool import Pool

from hermetic import driver
from hermetic.report.results import Results

EXAMPLES = Path(__file__).parent.parent / "examples"
SHOP, AIRTIGHT = "shop", "shop_airtight"

# Broken sessions leave connections and coroutines to the garbage collector, which warns; that is what `shop` is for.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
both = pytest.mark.parametrize("shop", [SHOP, AIRTIGHT], indirect=True)
airtight = pytest.mark.parametrize("shop", [AIRTIGHT], indirect=True)

# Every finding in `shop`: rule, severity, file, function, and how the reported line begins.
FINDINGS = {
    ("SES001", "error", "database.py", "get_db", "db = SessionLocal()"),
    ("SES001", "error", "reports.py", "sales_by_day", "session = reporting_session()"),
    ("SES001", "error", "stock.py", "running_low", "session = SessionLocal()"),
    ("SES002", "error", "jobs.py", "remind_overdue", "pool.submit(remind, session, order)"),
    ("SES002", "error", "products.py", "<module>", "catalog = Catalog(SessionLocal())"),
    ("SES002", "error", "reports.py", "dashboard", "customers, open_orders, revenue = await asyn"),
    ("SES003", "error", "mails.py", "record", "except SQLAlchemyError:"),
    ("SES003", "error", "stock.py", "import_products", "except IntegrityError:"),
    ("SES004", "error", "reports.py", "export", "for sold in sales_by_day():"),
    ("SES005", "error", "ordering.py", "OrderService.cancel", "mails.send(order.customer.email, "),
    # Both shops are packages named `shop`, of whose factories one expires what it commits: the endpoint knows which.
    ("SES005", "error", "payments.py", "pay", 'log.warning("payment of order %s was declined", order.id)'),
    ("SES005", "warning", "stock.py", "label", 'return {"label": '),
    ("SES006", "error", "customers.py", "give_points", "add_points(db, receiver, gift.points)"),
    ("SES006", "error", "ordering.py", "OrderService.place", "await self._save(order)"),
    ("SES007", "error", "database.py", "<module>", "AsyncSessionLocal = async_sessionmaker(async"),
    ("SES007", "error", "reports.py", "reporting_session", "engine = create_engine("),
    ("SES008", "error", "payments.py", "pay", 'if order.status != "open":'),
    ("SES008", "error", "stock.py", "restock", "if missing <= 0:"),
    ("SES102", "error", "ordering.py", "OrderService.cancel", "mails.send(order.customer.email, "),
    ("SES102", "error", "payments.py", "pay", "receipt = await gateway.charge(order.id, order.total)"),
    ("SES102", "error", "stock.py", "restock", "available = ask_supplier(sku)"),
}


class Shop(NamedTuple):
    """A running shop. `modules` are those of the package."""

    name: str
    client: TestClient
    modules: dict[str, ModuleType]

    def post(self, path: str, **data: Any) -> int:
        return int(self.client.post(path, json=data).status_code)

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def connections(self) -> int:
        """How many connections are out of the pool. While the garbage collector sleeps, that is how many are lost."""
        return int(self.modules["database"].engine.pool.checkedout())


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """One of the shops, with an empty database, two customers and some tea."""
    monkeypatch.setenv("SHOP_DATABASE", str(tmp_path / "shop.db"))
    monkeypatch.syspath_prepend(str(EXAMPLES / request.param))
    names = [path.stem for path in (EXAMPLES / request.param / "shop").glob("*.py")]
    modules = {name: importlib.import_module(f"shop.{name}") for name in names}
    try:
        with TestClient(modules["main"].app) as client:
            opened = Shop(request.param, client, modules)
            assert opened.post("/customers", name="Ada", email="ada@example.com") == 201
            assert opened.post("/customers", name="Bob", email="bob@example.com") == 201
            assert opened.post("/products", sku="tea", name="Green tea", price=1_000_000, stock=10) == 201
            yield opened
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
            del sys.modules[name]
        gc.collect()


@pytest.fixture
def sleeping_collector() -> Iterator[None]:
    """As in a busy server, where connections are needed before the garbage collector finds them."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tea(quantity: int, customer: int = 1) -> dict[str, Any]:
    return {"customer_id": customer, "lines": [{"sku": "tea", "quantity": quantity}]}


def cheap_tea(shop: Shop) -> None:
    """The payment provider's sandbox declines large amounts; with a cheaper tea it accepts."""
    with shop.modules["database"].SessionLocal.begin() as session:
        session.get_one(shop.modules["models"].Product, 1).price = 450


@both
def test_both_shops_serve_a_customer(shop: Shop) -> None:
    cheap_tea(shop)
    assert shop.post("/customers", name="Eve", email="ada@example.com") == 409
    assert shop.post("/products", sku="tea", name="Other tea", price=1) == 409
    assert [product["sku"] for product in shop.get("/products?text=tea")] == ["tea"]
    assert shop.get("/products/tea")["stock"] == 10

    assert shop.post("/orders", **tea(9)) == 201
    assert shop.post("/orders/1/payment") == 201
    assert shop.post("/orders/1/payment") == 409
    assert shop.post("/orders/2/payment") == 404

    order = shop.get("/orders/1")
    assert (order["status"], order["total"], order["lines"][0]["quantity"]) == ("paid", 4050, 9)
    assert shop.get("/customers/1/orders")[0]["id"] == 1
    assert shop.get("/customers/1")["points"] == 4
    assert shop.client.post("/customers/1/gifts", json={"to": 2, "points": 3}).json() == {"points": 1}
    assert shop.post("/customers/1/gifts", to=2, points=3) == 409

    assert shop.get("/stock/low") == ["tea: 1 left"]
    assert shop.client.post("/stock/tea/order").json() == {"ordered": 9}
    assert shop.get("/stock/tea") == {"label": "tea · Green tea", "stock": "10"}

    assert [(sold["orders"], sold["revenue"]) for sold in shop.get("/reports/sales")] == [(1, 4050)]
    assert shop.client.get("/reports/sales.csv").text.endswith(",1,4050\n")
    assert shop.get("/reports/dashboard") == {"customers": 2, "open_orders": 0, "revenue": 4050, "newest_order": 1}
    assert shop.get("/health") == {"status": "ok"}


@both
@pytest.mark.usefixtures("sleeping_collector")
def test_ses001_exceptions_and_early_returns_cost_connections(shop: Shop) -> None:
    for _ in range(3):
        assert shop.client.get("/customers/99").status_code == 404
        assert shop.get("/stock/low?threshold=0") == []

    assert shop.connections() == {SHOP: 6, AIRTIGHT: 0}[shop.name]


@both
def test_ses003_a_known_product_spoils_the_rest_of_the_delivery(shop: Shop) -> None:
    delivery = "sku,name,price,stock\nmilk,Milk,100,9\ntea,Tea,5,5\nrice,Rice,7,7\n"
    upload = shop.modules["stock"].upload

    if shop.name == SHOP:
        with pytest.raises(PendingRollbackError):
            upload(delivery)
    else:
        assert upload(delivery) == {"imported": 2}


@both
def test_ses005_the_mail_about_a_cancelled_order_needs_the_customer(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    cheap_tea(shop)
    shop.post("/orders", **tea(2))
    shop.post("/orders/1/payment")

    if shop.name == SHOP:
        with pytest.raises(MissingGreenlet):
            shop.post("/orders/1/cancel")
        assert shop.get("/orders/1")["status"] == "paid"
    else:
        with caplog.at_level("INFO"):
            assert shop.post("/orders/1/cancel") == 200
        assert "mail to ada@example.com: Your order was cancelled" in caplog.messages
        assert shop.get("/products/tea")["stock"] == 10


@both
def test_ses005_a_declined_payment_is_logged_after_the_commit(shop: Shop) -> None:
    shop.post("/orders", **tea(1))

    if shop.name == SHOP:
        with pytest.raises(MissingGreenlet):
            shop.post("/orders/1/payment")
    else:
        assert shop.post("/orders/1/payment") == 402
    assert shop.get("/orders/1")["status"] == "declined"


@both
def test_ses006_an_order_that_cannot_be_filled_leaves_half_of_it(shop: Shop) -> None:
    assert shop.post("/orders", **tea(11)) == 409

    assert len(shop.get("/customers/1/orders")) == {SHOP: 1, AIRTIGHT: 0}[shop.name]


@both
def test_ses007_every_report_opens_a_pool(shop: Shop) -> None:
    shop.get("/reports/sales")
    opened: list[object] = []
    event.listen(Pool, "first_connect", listener := lambda *arguments: opened.append(arguments))
    try:
        shop.get("/reports/sales")
        shop.get("/reports/sales")
    finally:
        event.remove(Pool, "first_connect", listener)

    assert len(opened) == {SHOP: 2, AIRTIGHT: 0}[shop.name]


@both
def test_ses008_an_order_is_cancelled_while_the_provider_works(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_tea(shop)
    shop.post("/orders", **tea(1))
    payments, ordering, database = (shop.modules[name] for name in ("payments", "ordering", "database"))
    charge, refunded = payments.Gateway.charge, []

    async def slow_charge(gateway: object, order_id: int, amount: int) -> Any:
        async with database.AsyncSessionLocal() as session:
            await ordering.OrderService(session).cancel(order_id)
            await session.commit()
        return await charge(gateway, order_id, amount)

    async def refund(gateway: object, reference: str) -> None:
        refunded.append(reference)

    monkeypatch.setattr(payments.Gateway, "charge", slow_charge)
    monkeypatch.setattr(payments.Gateway, "refund", refund, raising=False)

    assert shop.post("/orders/1/payment") == {SHOP: 201, AIRTIGHT: 409}[shop.name]
    assert shop.get("/orders/1")["status"] == {SHOP: "paid", AIRTIGHT: "cancelled"}[shop.name]
    assert len(refunded) == {SHOP: 0, AIRTIGHT: 1}[shop.name]


@airtight
def test_reminders_are_sent_once(shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Not in `shop`: its threads share a session, and what becomes of that is chance."""
    jobs, models = shop.modules["jobs"], shop.modules["models"]
    for customer in (1, 2):
        shop.post("/orders", **tea(1, customer))
    later = models.now() + timedelta(days=30)
    monkeypatch.setattr(jobs, "now", lambda: later)

    with caplog.at_level("INFO"):
        assert jobs.remind_overdue() == 2
        assert jobs.remind_overdue() == 0

    sent = sorted(message for message in caplog.messages if "Please pay" in message)
    assert sent == [f"mail to {name}@example.com: Please pay order {n}" for n, name in ((1, "ada"), (2, "bob"))]
    with shop.modules["database"].SessionLocal() as session:
        assert session.query(models.Mail).count() == 4


def check(example: str) -> Results:
    return driver.check(driver.Request((str(EXAMPLES / example),)))


def test_every_anti_pattern_of_shop_is_found_and_nothing_else() -> None:
    results = check(SHOP)

    found = set()
    for finding in results.findings:
        path = Path(finding.at.path)
        line = path.read_text(encoding="utf-8").splitlines()[finding.at.line - 1].strip()
        pinned = [begin for *_, begin in FINDINGS if line.startswith(begin)] or [line]
        found.add((finding.rule, finding.severity.label, path.name, finding.function, pinned[0]))
    assert found == FINDINGS
    assert len(results.findings) == len(found)
    assert not results.not_analysed


def test_shop_has_each_of_the_eight() -> None:
    assert {rule for rule, *_ in FINDINGS} >= {f"SES00{number}" for number in range(1, 9)}


def test_the_airtight_twin_is_clean() -> None:
    results = check(AIRTIGHT)

    assert [f"{f.at.path}:{f.at.line}: {f.rule} {f.message}" for f in results.findings] == []
    assert not results.not_analysed
    assert results.summary.sessions > 10


def test_the_airtight_twin_hides_nothing() -> None:
    for path in (EXAMPLES / AIRTIGHT).rglob("*.py"):
        assert "hermetic" not in path.read_text(encoding="utf-8"), path
