"""The tutorial's service of recommendations, by grpc.aio: it raises what Python raises, an interceptor does the rest.

In this folder: `python recommendations.py 127.0.0.1:50051`.
"""

import asyncio
import logging
import random
import sys

from bookshop.interceptors.server import Monitored
from grpc import aio
from recommendations_pb2 import BookCategory, BookRecommendation, RecommendationResponse
from recommendations_pb2_grpc import RecommendationsServicer, add_RecommendationsServicer_to_server

books_by_category = {
    BookCategory.MYSTERY: [
        BookRecommendation(id=1, title="The Maltese Falcon"),
        BookRecommendation(id=2, title="Murder on the Orient Express"),
        BookRecommendation(id=3, title="The Hound of the Baskervilles"),
    ],
    BookCategory.SCIENCE_FICTION: [
        BookRecommendation(id=4, title="The Hitchhiker's Guide to the Galaxy"),
        BookRecommendation(id=5, title="Ender's Game"),
        BookRecommendation(id=6, title="The Dune Chronicles"),
    ],
    BookCategory.SELF_HELP: [
        BookRecommendation(id=7, title="The 7 Habits of Highly Effective People"),
        BookRecommendation(id=8, title="How to Win Friends and Influence People"),
        BookRecommendation(id=9, title="Man's Search for Meaning"),
    ],
}


class RecommendationService(RecommendationsServicer):
    async def Recommend(self, request, context):
        books_for_category = books_by_category[request.category]  # a KeyError
        num_results = min(request.max_results, len(books_for_category))
        books_to_recommend = random.sample(books_for_category, num_results)  # a ValueError
        return RecommendationResponse(recommendations=books_to_recommend)


async def serve(address):
    server = aio.server(interceptors=[Monitored()])
    add_RecommendationsServicer_to_server(RecommendationService(), server)
    port = server.add_insecure_port(address)
    await server.start()
    logging.info("listens at port %d", port)
    await server.wait_for_termination()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(sys.argv[1]))
