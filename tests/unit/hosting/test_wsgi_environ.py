"""What a WSGI app is told of a request cannot be mistaken for something else."""

import pytest

from meristem import Identity
from meristem.hosting.wsgi.environ import RepeatedHeaderError, environ_of


def environ(*headers: tuple[bytes, bytes], **scope):
    whole = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "http_version": "1.1",
        "headers": list(headers),
        "server": ("10.0.0.1", 8000),
        "client": ("10.0.0.2", 1234),
        **scope,
    }
    return environ_of(whole, threads=4)


def test_a_header_with_an_underscore_never_passes_for_one_with_a_hyphen():
    told = environ((b"x_user", b"root"), (b"x-user", b"ada"), (b"x-us_er", b"root"), (b"content_length", b"9"))

    assert told["HTTP_X_USER"] == "ada"
    assert "HTTP_X_US_ER" not in told
    assert "CONTENT_LENGTH" not in told
    assert "HTTP_X_USER" not in environ((b"x_user", b"root"))


def test_a_header_never_passes_for_the_variable_that_names_a_proxy():
    assert "HTTP_PROXY" not in environ((b"proxy", b"http://evil.example"))
    assert environ((b"proxy-x", b"1"))["HTTP_PROXY_X"] == "1"


def test_repeated_lines_of_a_list_are_joined_by_commas_and_cookies_by_semicolons():
    told = environ(
        (b"accept", b"text/html"),
        (b"accept", b"*/*;q=0.1"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"x-forwarded-for", b"2.2.2.2"),
    )

    assert told["HTTP_ACCEPT"] == "text/html, */*;q=0.1"
    assert told["HTTP_COOKIE"] == "a=1; b=2"
    assert told["HTTP_X_FORWARDED_FOR"] == "1.1.1.1, 2.2.2.2"


@pytest.mark.parametrize("name", [b"authorization", b"content-type", b"host", b"proxy-authorization"])
def test_a_second_line_of_what_may_stand_once_is_refused(name):
    with pytest.raises(RepeatedHeaderError, match=name.decode()):
        environ((name, b"a"), (name, b"b"))


@pytest.mark.parametrize("name", [b"referer", b"if-modified-since", b"user-agent", b"range"])
def test_of_a_harmless_single_value_the_first_counts(name):
    assert environ((name, b"Sat, 1"), (name, b"Sun, 2"))["HTTP_" + name.decode().upper().replace("-", "_")] == "Sat, 1"


def test_the_path_is_the_decoded_bytes_also_where_they_are_not_utf_8():
    told = environ(path="/�/ü/a/b", raw_path=b"/%E5/%C3%BC/a%2Fb", query_string=b"q=%20+\xfc")

    assert told["PATH_INFO"].encode("latin-1") == b"/\xe5/\xc3\xbc/a/b"
    assert told["QUERY_STRING"].encode("latin-1") == b"q=%20+\xfc"
    assert told["REQUEST_URI"].encode("latin-1") == b"/%E5/%C3%BC/a%2Fb?q=%20+\xfc"


def test_a_mount_is_the_script_name_however_the_request_spells_it():
    told = environ(path="/caffè/menu", raw_path=b"/caff%c3%A8/men%75", root_path="/caffè")

    assert told["SCRIPT_NAME"].encode("latin-1").decode() == "/caffè"
    assert told["PATH_INFO"] == "/menu"


def test_a_server_that_tells_no_raw_path_is_understood():
    assert environ(path="/ü")["PATH_INFO"].encode("latin-1").decode() == "/ü"


def test_on_a_unix_socket_the_names_that_pep_3333_asks_for_are_there():
    told = environ(server=("/run/web.sock", None), client=None, scheme="https")

    assert (told["SERVER_NAME"], told["SERVER_PORT"], told["REMOTE_ADDR"]) == ("localhost", "443", "")
    assert "REMOTE_PORT" not in told


def test_how_the_body_came_is_none_of_the_apps_business():
    told = environ((b"transfer-encoding", b"chunked"), (b"expect", b"100-continue"), (b"trailer", b"x"))

    assert not {"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_TRAILER"} & told.keys()


def test_remote_user_is_who_the_gateway_has_found_and_nobody_else():
    assert environ(state={"user": Identity("jürgen")})["REMOTE_USER"] == "jürgen".encode().decode("latin-1")
    assert "REMOTE_USER" not in environ((b"remote-user", b"root"), (b"remote_user", b"root"))
