"""A Django project of tutorial size, hosted as it is: once as its WSGI application, once as its ASGI application."""

from meristem import App, System

by_wsgi = System("gallery", apps=[App("pictures", "gallery.wsgi:application", mount="/pictures")])
by_asgi = System("gallery", apps=[App("pictures", "gallery.asgi:application", mount="/pictures")])
