"""Settings, from the environment."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """Where the database and the partners are. Without a partner's URL its sandbox answers."""

    database: str = field(default_factory=lambda: os.environ.get("SHOP_DATABASE", "shop.db"))
    payment_url: str | None = field(default_factory=lambda: os.environ.get("SHOP_PAYMENT_URL"))
    supplier_url: str | None = field(default_factory=lambda: os.environ.get("SHOP_SUPPLIER_URL"))
    smtp_host: str | None = field(default_factory=lambda: os.environ.get("SHOP_SMTP_HOST"))
    reminder_interval: float = 3600.0
    payment_days: int = 14

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.database}"

    @property
    def async_database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.database}"


settings = Settings()
