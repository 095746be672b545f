"""Resolvers: what they know, and how others hear of changes."""

from meristem.discovery.layered import LayeredResolver
from meristem.discovery.resolver import changes
from meristem.discovery.static import StaticResolver

ONE, TWO = "tcp://10.0.0.1:80", "tcp://10.0.0.2:80"


def test_addresses_are_sorted_and_without_doubles():
    resolver = StaticResolver({"search": (TWO, ONE, TWO)})

    assert resolver.addresses("search") == (ONE, TWO)
    assert resolver.addresses("nobody") == ()
    assert not resolver.knows("nobody")


def test_a_watcher_hears_each_change_until_it_ends():
    resolver = StaticResolver({"search": (ONE,)})
    heard: list[tuple[str, ...]] = []
    end = resolver.watch("search", heard.append)

    resolver.put("search", (ONE,))
    resolver.put("search", (ONE, TWO))
    resolver.put("other", (ONE,))
    end()
    resolver.put("search", ())

    assert heard == [(ONE, TWO)]


def test_a_watcher_that_ends_itself_disturbs_no_other():
    resolver = StaticResolver({"search": (ONE,)})
    heard: list[str] = []
    ends = [resolver.watch("search", lambda _: ends[0]()), resolver.watch("search", lambda _: heard.append("second"))]

    resolver.put("search", (TWO,))

    assert heard == ["second"]


async def test_changes_begin_with_what_is_known_and_skip_what_is_outdated():
    resolver = StaticResolver({"search": (ONE,)})
    seen = changes(resolver, "search")

    assert await anext(seen) == (ONE,)
    resolver.put("search", ())
    resolver.put("search", (TWO,))
    assert await anext(seen) == (TWO,)
    await seen.aclose()


def test_the_first_layer_that_knows_a_service_answers_even_when_it_has_nobody():
    strong, weak = StaticResolver({"search": ()}), StaticResolver({"search": (ONE,), "stock": (TWO,)})
    resolver = LayeredResolver(strong, weak)
    heard: list[tuple[str, ...]] = []
    resolver.watch("search", heard.append)
    weak.put("search", (TWO,))
    strong.put("search", (ONE,))

    assert resolver.addresses("search") == (ONE,)
    assert resolver.addresses("stock") == (TWO,)
    assert heard == [(ONE,)]
