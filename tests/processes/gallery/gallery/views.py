"""A page with a form and links to what was uploaded by it."""

from django import forms
from django.core.files.storage import default_storage
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render


class UploadForm(forms.Form):
    picture = forms.FileField()


def index(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        picture = form.cleaned_data["picture"]
        default_storage.save(picture.name, picture)
        return redirect("index")
    names = sorted(default_storage.listdir("")[1]) if default_storage.exists("") else []
    pictures = [(name, default_storage.url(name)) for name in names]
    return render(request, "gallery/index.html", {"form": form, "pictures": pictures})


def download(request: HttpRequest, name: str) -> HttpResponseBase:
    return FileResponse(default_storage.open(name), as_attachment=True)
