"""The shop for the public shows nothing of the demonstration."""

from bookshop.web import production


def test_no_demonstration_in_production() -> None:
    settings = production.app.config["WEB_SETTINGS"]
    assert not settings.demonstration
    assert not settings.owners  # but those that the environment names
