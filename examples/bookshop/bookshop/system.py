"""The bookshop as one system, and beside it what stands in for third parties: for the developer's own host."""

from __future__ import annotations

from bookshop.contracts.customers import Customers
from bookshop.monitoring import monitor
from meristem import App, Identity, System


async def authenticate(token: str) -> Identity | None:
    """Whose session a bearer token stands for."""
    customer = await Customers.client().identify(token)
    return None if customer is None else Identity(str(customer.customer_id), customer.name)


SHOP = [  # each is imported in the process in which it lives, and in no other
    "bookshop.catalogue.service:CatalogueService",
    "bookshop.carts.service:CartsService",
    "bookshop.inventory.service:InventoryService",
    "bookshop.customers.service:CustomersService",
    "bookshop.payments.service:PaymentsService",
    "bookshop.transactions.service:TransactionsService",
    "bookshop.promotions.service:PromotionsService",
    "bookshop.checkout.service:CheckoutService",
    "bookshop.mail.service:MailService",
]
SERVICES = [
    *SHOP,
    "bookshop.recommendations.training:TrainingService",
    "bookshop.recommendations.service:RecommendationsService",
]
WEB = App("web", "bookshop.web.app:app", mount="/")
STAND_INS = [  # for what is a third party's in life; they know nothing of the shop
    App("bank", "thirdparties.bank.app:app", mount="/bank"),
    App("mailbox", "thirdparties.mail.app:beside", mount="/mailbox"),
]

system = System("bookshop", services=SERVICES, apps=[WEB, *STAND_INS], authenticate=authenticate, middleware=[monitor])

production = System(
    "bookshop",
    services=SERVICES,
    apps=[App("web", "bookshop.web.production:app", mount="/")],
    authenticate=authenticate,
    middleware=[monitor],
)
