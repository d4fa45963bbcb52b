"""A small web shop: customers, products, stock, orders, payments, mails and reports."""
