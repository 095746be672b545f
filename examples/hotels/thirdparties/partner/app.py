"""The partner's HTTP service, a Flask application: ``thirdparties.partner.app:app``.

``PUT /behaviour`` makes it slow or broken, so that its customers can see what they do about that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, abort, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from thirdparties.nearby import nearby_wsgi

from .offers import Offer, Question, find_offers, known_cities


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the partner answers questions for offers: after a delay, or not at all."""

    delay_ms: int = 0
    fail: bool = False


class Mood:
    """The behaviour in force, shared by the threads that answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._behaviour = Behaviour()

    def now(self) -> Behaviour:
        with self._lock:
            return self._behaviour

    def change(self, behaviour: Behaviour) -> None:
        with self._lock:
            self._behaviour = behaviour


class InvalidInputError(ValueError):
    """A field of the request is wrong."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


def create_app() -> Flask:
    app = Flask(__name__)
    mood = Mood()
    app.register_error_handler(InvalidInputError, lambda error: _problem(400, str(error), error.field))
    app.register_error_handler(HTTPException, lambda error: _problem(error.code or 500, error.description or ""))

    @app.get("/offers")
    def offers() -> Response:
        question = _question(request.args)
        behaviour = mood.now()
        time.sleep(behaviour.delay_ms / 1000)
        if behaviour.fail:
            abort(HTTPStatus.SERVICE_UNAVAILABLE, "The partner is out of order.")
        return jsonify(offers=[_as_json(offer, question) for offer in find_offers(question)])

    @app.get("/book/<offer_id>")
    def book(offer_id: str) -> str:
        question = _question(request.args)
        offer = next((offer for offer in find_offers(question) if offer.id == offer_id), None)
        if offer is None:
            abort(HTTPStatus.NOT_FOUND, "There is no such offer.")
        return render_template("offer.html", offer=offer, question=question)

    @app.get("/cities")
    def cities() -> Response:
        return jsonify(known_cities())

    @app.get("/behaviour")
    def behaviour() -> Response:
        return jsonify(asdict(mood.now()))

    @app.put("/behaviour")
    def change_behaviour() -> Response:
        mood.change(_behaviour(request.get_json(silent=True)))
        return jsonify(asdict(mood.now()))

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok")

    return app


def _question(fields: Mapping[str, str]) -> Question:
    city = fields.get("city", "").strip()
    if not 0 < len(city) <= 100:
        raise InvalidInputError("city", "Name a city.")
    try:
        arrival = date.fromisoformat(fields.get("arrival", ""))
    except ValueError as error:
        raise InvalidInputError("arrival", "Write the day of arrival as YYYY-MM-DD.") from error
    return Question(city, arrival, _count(fields, "nights", 30), _count(fields, "guests", 8))


def _count(fields: Mapping[str, str], name: str, limit: int) -> int:
    text = fields.get(name, "1")
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= limit):
        raise InvalidInputError(name, f"Give the number of {name}, from 1 to {limit}.")
    return int(text)


def _behaviour(body: Any) -> Behaviour:
    if not isinstance(body, dict):
        raise InvalidInputError("body", 'Send a JSON object, for example {"delay_ms": 500, "fail": false}.')
    unknown = body.keys() - {"delay_ms", "fail"}
    if unknown:
        raise InvalidInputError(min(unknown), "There are two settings: delay_ms and fail.")
    delay_ms, fail = body.get("delay_ms", 0), body.get("fail", False)
    if type(delay_ms) is not int or not 0 <= delay_ms <= 60_000:
        raise InvalidInputError("delay_ms", "Give the delay in whole milliseconds, from 0 to 60000.")
    if type(fail) is not bool:
        raise InvalidInputError("fail", "Say true or false.")
    return Behaviour(delay_ms, fail)


def _as_json(offer: Offer, question: Question) -> dict[str, object]:
    stay = {"city": question.city, "arrival": question.arrival, "nights": question.nights, "guests": question.guests}
    url = f"{request.url_root}book/{offer.id}?{urlencode(stay)}"
    return asdict(offer) | {"price_per_night": str(offer.price_per_night), "url": url}


def _problem(status: int, detail: str, field: str | None = None) -> Response:
    body: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if field:
        body |= {"field": field, "errors": [{"field": field, "message": detail}]}
    answer = jsonify(body)
    answer.status_code, answer.content_type = status, "application/problem+json"
    return answer


app = create_app()
app.wsgi_app = nearby_wsgi(app.wsgi_app)  # type: ignore[method-assign]
