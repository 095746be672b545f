"""No password of a URL is shown, whatever it is made of; what is no password stays."""

import json

import pytest

from meristem.redaction import mask_values, redact, redact_fields


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:s3cret@db:5432/shop", "postgresql://app:***@db:5432/shop"),
        ("postgresql+asyncpg://app:s3cret@db/shop?ssl=on", "postgresql+asyncpg://app:***@db/shop?ssl=on"),
        ("redis://:s3cret@cache", "redis://:***@cache"),
        ("smtps://me%40home:s%3Acret@mail", "smtps://me%40home:***@mail"),
        ("amqp://app:s3:cr@et/x@broker/vhost", "amqp://app:***@broker/vhost"),
        ("amqp://app:123@broker", "amqp://app:***@broker"),
        ("amqp://app:12345@broker:5672", "amqp://app:***@broker:5672"),
        ("no answer from ldap://root:s3cret@10.0.0.9!", "no answer from ldap://root:***@10.0.0.9!"),
        ("['redis://:a1@one', 'redis://:b2@two']", "['redis://:***@one', 'redis://:***@two']"),
        ('{"url":"redis://:a1@one","to":"b@c"}', '{"url":"redis://:***@one","to":"b@c"}'),
        ("postgresql://db/shop?user=app&password=s3cret&ssl=on", "postgresql://db/shop?user=app&password=***&ssl=on"),
        ("https://api/x?Api_Key=s3cret#top", "https://api/x?Api_Key=***#top"),
        ("https://api/x?access_token=s3cret", "https://api/x?access_token=***"),
        (
            "postgresql://a:s3cret@h/d?listen=postgresql%3A%2F%2Fa%3As3%253Acret%40db%3A5432%2Fd&pool=4",
            "postgresql://a:***@h/d?listen=postgresql%3A%2F%2Fa%3A***%40db%3A5432%2Fd&pool=4",
        ),
        ("listen=postgresql://a:s3cret%40db/d", "listen=postgresql://a:***%40db/d"),
    ],
)
def test_a_password_in_a_url_is_not_shown(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "tcp://0.0.0.0:9000",
        "http://localhost:8000/people/anna@example.org",
        "http://[::1]:8000/people/anna@example.org",
        "http://localhost:8000 asked for anna@example.org",
        "smtp://anna@mail.example.org",
        "sqlite:///data/shop.db",
        "anna: s3cret@home",
        "https://shop/search?q=tea:green@home",
        "https://shop/search?q=tea:green%40home",
        "http://localhost:8000/people?mail=anna%40example.org",
        "postgresql://h/d?listen=postgresql%3A%2F%2Fa%40db%3A5432%2Fd",
    ],
)
def test_what_is_no_password_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ValueError: login failed for password=s3cret", "ValueError: login failed for password=***"),
        ("db_password='s3 cret' is wrong", "db_password='***' is wrong"),
        ('API-Key = "s3cret"', 'API-Key = "***"'),
        ("host=db user=app password=s3,c;r)et dbname=x", "host=db user=app password=*** dbname=x"),
        ("{'user': 'ada', 'token': 's3cret'}", "{'user': 'ada', 'token': '***'}"),
        ('{"event":"said password=\\"s3 cret\\" twice"}', '{"event":"said password=\\"***\\" twice"}'),
        ("Authorization: Bearer s3cret", "Authorization: ***"),
        ("cookie: session=s3cret; other=s3cret", "cookie: ***"),
        ("X-Api-Key: s3cret", "X-Api-Key: ***"),
        ("password: s3cret", "password: ***"),
        ("https://h/x?token=s3cret and token=s3cret", "https://h/x?token=*** and token=***"),
        ("password='s3cret", "password='***"),
    ],
)
def test_what_a_text_says_to_be_a_secret_is_not_shown(text: str, shown: str):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "no token: it is gone", "authorization: it is missing", "bad token: unexpected end", "token == expected",
        "self.token = token_of(secret)", "password=''", "the passwords of both: ask for them", "a cookie, 4096 bytes",
    ],
)  # fmt: skip
def test_prose_and_code_about_secrets_stay(text: str):
    assert redact(text) == text


def test_a_long_line_of_one_word_is_read_to_its_end():
    """How far a password may reach is bounded: with the square of its length this line would take hours."""
    for text in ("a://b:" * 200_000, "a%3A%2F%2Fb%3A" * 100_000, "passwordcookie:" * 50_000):
        assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"card": "4111", "sum": 3, "note": null, "who": {"name": "Ann", "age": 0}}',
         '{"card":"***","sum":"***","note":null,"who":{"name":"***","age":"***"}}'),
        ('[1, "", [true, false]]', '["***","",["***","***"]]'),
        ("no JSON", "***"),
        ("[" * 100_000, "***"),
    ],
)  # fmt: skip
def test_of_a_message_whose_values_are_masked_the_shape_is_seen(text: str, masked: str):
    assert mask_values(text) == masked


def test_what_stands_in_fields_that_are_called_like_secrets_is_not_shown_in_texts_of_json_either():
    value = {
        "user": "ada",
        "ApiKey": "s3cret",
        "deep": [{"password": ["s3cret"]}],
        "text": '{"token": "s3cret", "n": 1}',
    }
    value |= {"url": "redis://:s3cret@cache", "note": "{not json", "count": 3, "secret": ""}
    assert json.loads(str(redact_fields(json.dumps(value)))) == {
        "user": "ada",
        "ApiKey": "***",
        "deep": [{"password": "***"}],
        "text": '{"token":"***","n":1}',
        "url": "redis://:***@cache",
        "note": "{not json",
        "count": 3,
        "secret": "",
    }
    assert redact_fields("no JSON, redis://:s3cret@cache") == "no JSON, redis://:***@cache"
    assert redact_fields(None) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"email": "a@b.c", "password": "s3cret',
        '{"email": "a@b.c", "passwordAgain" : "s3cret", }',
        "[" * 5000 + '{"password": "s3cret"}' + "]" * 5000,
        '\ufeff{"password": "s3cret"}',
        '"{\\"password\\": \\"s3cret\\"}"',
        '{"a": "{\\"token\\": [\\"s3cret\\""}',
        '{"card": {"number": "s3cret", "cvc": "s3cret"}, "cardNumber": "s3cret", "cards": [{"cvv2": "s3cret"}]}',
        '{"payment": {"cards": [{"security_code": "s3cret"}], "card_number": "s3cret"}}',
    ],
)
def test_secrets_of_what_is_no_sound_json_and_numbers_of_cards_are_not_shown_either(text: str):
    for told in (redact_fields(text), redact_fields(json.dumps({"request": text}))):
        assert told is not None
        assert "s3cret" not in told
        assert "***" in told


def test_what_is_no_json_and_has_no_secret_is_shown_as_it_is():
    for text in ("[info] no token: it is gone", '"a" and "b"', "{not json", "the number of the card"):
        assert redact_fields(text) == text
        assert json.loads(str(redact_fields(json.dumps({"note": text})))) == {"note": text}
