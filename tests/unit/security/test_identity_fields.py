"""Who sends a request is told by fields that hold any name, and by nothing that ends a field."""

from meristem import Identity
from meristem.security.identity_fields import identity_fields
from meristem.security.tokens import Tokens, new_secret


def test_each_part_of_an_identity_has_its_field_and_what_is_empty_has_none():
    user = Identity("auth0|42", "Ada Lovelace", ("guest", "a,b"), "acme")
    assert identity_fields(user) == [
        (b"x-meristem-user", b"auth0|42"),
        (b"x-meristem-name", b"Ada%20Lovelace"),
        (b"x-meristem-tenant", b"acme"),
        (b"x-meristem-roles", b"guest,a%2Cb"),
    ]
    assert identity_fields(Identity("42")) == [(b"x-meristem-user", b"42")]


def test_no_identity_can_end_its_field():
    told = dict(identity_fields(Identity("ü\r\nx-meristem-roles: admin\x00%0d")))
    assert told == {b"x-meristem-user": b"%C3%BC%0D%0Ax-meristem-roles:%20admin%00%250d"}


def test_the_token_between_processes_carries_the_tenant():
    tokens = Tokens(new_secret())
    user = Identity("42", "Ada", ("guest",), "acme")
    caller = tokens.verify(tokens.sign("shop", user))
    assert caller is not None
    assert caller.user == user
