"""Unary calls by gRPC: values, contexts, errors, deadlines and cancellation, by our client and by grpcio's."""

import asyncio
import threading
from time import monotonic

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from meristem.context import Context, Identity, Trace
from meristem.errors import CallError, Code, FieldViolation
from meristem.resilience.limits import ClientLimits, Limits
from meristem.transports.grpc.methods import GrpcMethod
from tests.suites.shop import CardDeclined, Everything, RoomTaken


def details(error):
    return status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])


async def test_a_value_of_every_kind_comes_back_as_it_was_sent(shop):
    _, client = await shop.pair()
    sent = Everything(**shop.everything())

    assert await client.call(shop.call("echo", **shop.everything())) == sent


async def test_a_reply_may_be_a_list_or_nothing(shop):
    _, client = await shop.pair()

    stays = await client.call(shop.call("stays", hotel_id=1, tags=["Rome", "Oslo"]))

    assert [each.city for each in stays] == ["Rome", "Oslo"]
    assert await client.call(shop.call("cancel", booking_id="b1")) is None
    assert await client.call(shop.call("blob", data=b"\0" * 100_000)) == b"\0" * 100_000


async def test_a_stub_that_knows_nothing_of_us_is_answered(shop):
    channel = shop.stock(await shop.server())

    reply = await shop.method(channel, "book")(shop.request("book", hotel_id=7, city="Rome", arrival="2030-01-02"))

    assert (reply.booking_id, reply.guest) == ("b7", "Rome")


async def test_the_context_travels(shop):
    server = await shop.server(secured=True)
    client = shop.client(server, sign=lambda context: f"web/{context.user.subject}")
    trace = Trace.start(sampled=True)
    deadline = monotonic() + 60

    context = Context(deadline, user=Identity("ada"), trace=trace, key="k-1", baggage="locale=de")
    told = await client.call(shop.call("describe", context))

    arrived = shop.handlers.contexts[-1]
    assert told == {"caller": "web", "user": "ada", "key": "k-1"}
    assert (arrived.trace.trace_id, arrived.baggage) == (trace.trace_id, "locale=de")
    assert abs(arrived.deadline - deadline) < 5


async def test_who_is_nobody_may_call_what_is_published_alone(shop):
    server = await shop.server(secured=True, public=True)
    channel = shop.stock(server)

    reply = await shop.method(channel, "stays")(shop.request("stays", hotel_id=1))
    error = await shop.failed(shop.method(channel, "describe")(shop.request("describe")))

    assert reply.result[0].city == "Rome"
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "meristem-token" in error.details()


async def test_a_bearer_token_tells_the_user(shop):
    channel = shop.stock(await shop.server(secured=True, public=True))
    stays, request = shop.method(channel, "stays"), shop.request("stays", hotel_id=1)

    await stays(request, metadata=[("authorization", "Bearer user-ada")])
    error = await shop.failed(stays(request, metadata=[("authorization", "Bearer forged")]))

    assert shop.handlers.contexts[-1].user == Identity("ada")
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("city", ["Full", "Suite"])
async def test_a_fault_is_its_class_with_its_fields(shop, city):
    _, client = await shop.pair()

    with pytest.raises(RoomTaken) as caught:
        await client.call(shop.call("book", hotel_id=2**60, city=city, arrival="2030-01-02"))

    assert type(caught.value) is RoomTaken
    assert caught.value.hotel_id == 2**60


async def test_a_fault_is_a_status_with_its_message_as_a_detail(shop):
    channel = shop.stock(await shop.server())
    broke = shop.request("book", hotel_id=1, city="Broke", arrival="2030-01-02")

    error = await shop.failed(shop.method(channel, "book")(broke))

    told = details(error)
    fault, info = told.details[0], error_details_pb2.ErrorInfo()
    told.details[1].Unpack(info)
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "The bank refused the card.")
    assert (told.code, told.message) == (9, "The bank refused the card.")
    assert fault.type_url == "type.googleapis.com/shop.rooms.v1.CardDeclined"
    assert (
        shop.proto.message_class("CardDeclined").FromString(fault.value).reason
        == CardDeclined(reason="no money").reason
    )
    assert (info.reason, info.domain) == ("CARD_DECLINED", "shop.rooms.v1")


async def test_violations_are_a_bad_request_and_a_pause_is_retry_info(shop):
    server, client = await shop.pair()
    book, channel = shop.operations["book"], shop.stock(server)
    odd = shop.request("book", hotel_id=1, city="Odd", arrival="2030-01-02")

    error = details(await shop.failed(shop.method(channel, "book")(odd)))
    found = {}
    for city in ("Odd", "Busy"):
        with pytest.raises(CallError) as caught:
            await client.call(shop.call("book", hotel_id=1, city=city, arrival="2030-01-02"))
        found[city] = caught.value

    bad = error_details_pb2.BadRequest()
    error.details[0].Unpack(bad)
    assert [each.field for each in bad.field_violations] == ["city", "guest.name"]
    assert [each.field for each in found["Odd"].violations] == ["city", "guest.name"]
    assert (found["Busy"].code, found["Busy"].retry_after) == (Code.RESOURCE_EXHAUSTED, 1.5)
    assert not found["Busy"].may_have_happened
    assert book.raises


async def test_a_field_that_does_not_fit_is_named(shop):
    channel = shop.stock(await shop.server())
    long = shop.request("book", hotel_id=1, city="Rome", arrival="2030-01-02", nights=31)

    error = await shop.failed(shop.method(channel, "book")(long))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "nights" in error.details()


async def test_a_bug_is_told_without_its_words(shop, caplog):
    server, client = await shop.pair()
    bug = shop.request("book", hotel_id=1, city="Bug", arrival="2030-01-02")

    error = await shop.failed(shop.method(shop.stock(server), "book")(bug))
    with pytest.raises(CallError) as caught:
        await client.call(shop.call("book", hotel_id=1, city="Bug", arrival="2030-01-02"))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in f"{error.details()}{error.trailing_metadata()}{caught.value}"
    assert "ZeroDivisionError" in caplog.text


async def test_half_a_character_in_the_words_of_an_error_changes_nothing_of_it(shop):
    async def cancel(_):
        raise CallError(Code.NOT_FOUND, "no \ud800 here")

    shop.handlers.cancel = cancel
    server, client = await shop.pair()

    error = await shop.failed(shop.method(shop.stock(server), "cancel")(shop.request("cancel", booking_id="1")))
    with pytest.raises(CallError) as caught:
        await client.call(shop.call("cancel", booking_id="1"))

    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no ? here")
    assert (caught.value.code, caught.value.message) == (Code.NOT_FOUND, "no ? here")


async def test_a_fault_that_no_wire_can_carry_is_a_bug_and_told_as_one(shop, caplog):
    async def book(_):
        raise CardDeclined(reason="secret \ud800")

    async def numbers():
        yield 1
        raise RoomTaken(hotel_id="secret \ud800")

    async def count(_):
        return numbers()

    shop.handlers.book, shop.handlers.count = book, count
    server, client = await shop.pair()

    stay = shop.request("book", hotel_id=1, city="Rome", arrival="2030-01-02")
    error = await shop.failed(shop.method(shop.stock(server), "book")(stay))
    items = await client.call(shop.call("count", until=1))
    assert await anext(items) == 1
    with pytest.raises(CallError) as caught:
        await anext(items)

    assert error.code() is grpc.StatusCode.INTERNAL
    assert caught.value.code is Code.INTERNAL
    assert "secret" not in f"{error.details()}{error.trailing_metadata()}{caught.value}"
    assert "UnicodeEncodeError" in caplog.text


async def test_the_details_of_a_long_error_leave_room_for_its_status(shop):
    """Clients refuse more than 8 KiB of metadata, and would be told of no error at all."""

    async def book(_):
        raise CardDeclined(reason="x" * 100_000)

    shop.handlers.book = book
    server, client = await shop.pair()
    broke = shop.request("book", hotel_id=1, city="Broke", arrival="2030-01-02")

    error = await shop.failed(shop.method(shop.stock(server), "book")(broke))
    with pytest.raises(CardDeclined) as caught:
        await client.call(shop.call("book", hotel_id=1, city="Broke", arrival="2030-01-02"))

    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "The bank refused the card.")
    assert len(caught.value.reason) == 100_000


async def test_our_client_tells_the_words_of_the_server_as_they_are(shop):
    async def book(_):
        raise CallError(Code.DEADLINE_EXCEEDED, "the bank took too long")

    shop.handlers.book = book
    _, client = await shop.pair()

    with pytest.raises(CallError) as caught:
        await client.call(shop.call("book", hotel_id=1, city="Rome", arrival="2030-01-02"))

    assert (caught.value.code, caught.value.message) == (Code.DEADLINE_EXCEEDED, "the bank took too long")
    assert (caught.value.answered, caught.value.may_have_happened) == (True, True)


@pytest.mark.parametrize("text", ["😀" * 1000, "€" * 5000, "%" * 5000, "x" * 5000])
async def test_a_message_in_any_alphabet_leaves_room_for_its_status(shop, text):
    async def book(_):
        raise CallError(Code.NOT_FOUND, text, violations=(FieldViolation("city", "x" * 6000),))

    shop.handlers.book = book
    channel = shop.stock(await shop.server())

    error = await shop.failed(shop.method(channel, "book")(shop.request("book", city="Rome", arrival="2030-01-02")))

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details().startswith(text[:50])
    assert error.details().endswith("…")


async def test_an_error_that_cannot_be_written_is_told_without_its_words(shop, caplog):
    """grpcio would tell the client what was raised while the status was made."""

    async def book(_):
        raise CardDeclined(reason="\ud800")

    shop.handlers.book = book
    channel = shop.stock(await shop.server())

    error = await shop.failed(shop.method(channel, "book")(shop.request("book", city="Rome", arrival="2030-01-02")))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert "surrogates" not in error.details()
    assert "surrogates" in caplog.text


async def test_a_method_that_is_not_here_is_unimplemented(shop):
    server, client = await shop.pair()
    error = await shop.failed(shop.stock(server).unary_unary("/shop.rooms.v1.Rooms/Nothing")(b""))
    unknown = shop.call("describe")
    unknown.operation = unknown.operation.under()
    unknown.operation.path = "/shop.rooms.v1.Rooms/Nothing"

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(CallError, match=r"no service there implements shop\.rooms\.v1\.Rooms") as caught:
        await client.call(unknown)
    assert caught.value.code is Code.UNIMPLEMENTED


async def test_a_deadline_reaches_the_handler_and_its_end_cancels_it(shop):
    server, client = await shop.pair()
    waiting = shop.method(shop.stock(server), "wait")

    error = await shop.failed(waiting(shop.request("wait"), timeout=0.5))
    await shop.within(shop.handlers.cancelled.wait())
    with pytest.raises(CallError) as caught:
        await client.call(shop.call("wait", Context(monotonic() + 0.5)))

    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.may_have_happened


async def test_a_call_that_is_late_already_is_not_sent(shop):
    _, client = await shop.pair()

    with pytest.raises(CallError) as caught:
        await client.call(shop.call("wait", Context(monotonic() - 1)))

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert not shop.handlers.contexts


async def test_who_gives_up_cancels_the_handler(shop):
    _, client = await shop.pair()
    waiting = asyncio.ensure_future(client.call(shop.call("wait")))
    await shop.within(shop.handlers.started.wait())

    waiting.cancel()

    await shop.within(shop.handlers.cancelled.wait())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert client.in_flight == 0


async def test_a_message_above_the_limit_is_refused_on_either_side(shop):
    server = await shop.server(limits=Limits(body_bytes=100_000))
    client, narrow = shop.client(server), shop.client(server, limits=ClientLimits(reply_bytes=10_000))

    with pytest.raises(CallError) as sent:
        await client.call(shop.call("blob", data=b"\0" * 200_000))
    with pytest.raises(CallError) as received:
        await narrow.call(shop.call("blob", data=b"\0" * 50_000))

    assert (sent.value.code, sent.value.may_have_happened) == (Code.INVALID_ARGUMENT, False)
    assert "larger" in sent.value.message
    assert (received.value.code, received.value.may_have_happened) == (Code.INTERNAL, True)


async def test_a_compressed_message_counts_as_what_it_becomes(shop):
    channel = shop.stock(await shop.server(limits=Limits(body_bytes=100_000)), compression=grpc.Compression.Gzip)
    blob = shop.method(channel, "blob")

    small = await blob(shop.request("blob", data=b"\0" * 90_000))
    error = await shop.failed(blob(shop.request("blob", data=b"\0" * 10_000_000)))

    assert len(small.result) == 90_000
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_large_message_is_read_beside_the_event_loop(shop, monkeypatch):
    read, threads = GrpcMethod.read, []

    def noted(*given):
        threads.append(threading.current_thread() is threading.main_thread())
        return read(*given)

    monkeypatch.setattr(GrpcMethod, "read", noted)
    _, client = await shop.pair()

    for size in (10, 100_000):
        await client.call(shop.call("blob", data=b"\0" * size))

    assert threads == [True, False]


async def test_more_values_than_the_limit_are_refused_before_they_are_made(shop):
    channel = shop.stock(await shop.server(limits=Limits(body_values=1_000)))

    many = shop.request("stays", hotel_id=1, tags={"values": ["x"] * 2_000})
    error = await shop.failed(shop.method(channel, "stays")(many))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
