"""What a site with accounts, forms and a till has in common with the next: `pages`, `accounts` and `bank`.

Nothing is imported here: a contract that names a card needs no web framework.
"""
