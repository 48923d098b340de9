"""Uploaded images: what may come in, what is kept of it, who sees it, and how texts show it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from annotations.items import media
from annotations.items.models import MediaFile
from annotations.judging.models import Assignment
from app.web.rendering import plain_text, render_markdown, with_media

pytestmark = pytest.mark.django_db
PAGE = "/p/pairs/media/"
FILES = "/media/pairs/"  # open to guests, who reach nothing else below /p/


def picture(kind="PNG", size=(40, 20), **options) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, **options)
    return out.getvalue()


def upload(client, data: bytes, name: str = "Red Car.PNG", **fields):
    return client.post(PAGE, {"file": SimpleUploadedFile(name, data), **fields})


def test_an_upload_is_kept_without_what_the_camera_wrote_into_it(alice_client, project, alice):
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    exif[0x0112] = 6  # turned by a quarter
    answer = upload(alice_client, picture("JPEG", exif=exif) + b"<script>hidden</script>", "Red Car.JPG")
    assert answer.status_code == 302
    made = MediaFile.objects.get()
    assert (made.name, made.content_type, made.uploaded_by) == ("red-car.jpg", "image/jpeg", alice)
    assert (made.width, made.height) == (20, 40)
    kept = media.path_of(made).read_bytes()
    assert len(kept) == made.size
    assert b"home" not in kept
    assert b"script" not in kept
    assert "![…](media:red-car.jpg)" in alice_client.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "not a PNG"),
        (b"GIF89a<script>alert(1)</script>", "not a PNG"),
        (picture()[:60], "damaged"),
        (picture("BMP"), "not a PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * media.MAX_BYTES, "larger than 10 MB"),
    ],
    ids=["svg", "script", "cut", "bmp", "large"],
)
def test_what_is_no_image_is_refused_in_words_and_nothing_is_kept(
    alice_client, project, settings, data, words
):
    answer = upload(alice_client, data)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not MediaFile.objects.exists()
    assert not list(Path(settings.MEDIA_ROOT).rglob("*.*"))


def test_an_image_of_too_many_pixels_is_refused_before_it_is_opened(alice_client, project, monkeypatch):
    monkeypatch.setattr(media, "MAX_PIXELS", 799)
    assert "at most 40 megapixels" in upload(alice_client, picture()).content.decode()
    assert not MediaFile.objects.exists()


def test_a_name_stands_for_one_image_for_ever(alice_client, project):
    for _ in range(2):
        assert upload(alice_client, picture()).status_code == 302
    assert MediaFile.objects.count() == 1
    assert upload(alice_client, picture(size=(9, 9))).status_code == 400
    path = media.path_of(MediaFile.objects.get())
    assert alice_client.post(f"{PAGE}red-car.png/remove/").status_code == 302
    assert not path.exists()
    assert alice_client.get(f"{FILES}red-car.png").status_code == 404
    assert "another image" in upload(alice_client, picture()).content.decode()


def test_only_members_see_an_image_and_only_researchers_add_or_delete(
    alice_client, bob_client, charlie_client, project
):
    upload(alice_client, picture())
    address = f"{FILES}red-car.png"
    answer = bob_client.get(address)
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(b"".join(answer.streaming_content))).size == (40, 20)
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    assert charlie_client.get(address).status_code == 404
    assert Client().get(address).status_code == 302
    for client, status in ((bob_client, 403), (charlie_client, 404)):
        assert upload(client, picture(), "b.png").status_code == status
        assert client.post(f"{PAGE}red-car.png/remove/").status_code == status
    assert list(MediaFile.objects.values_list("name", "removed_at")) == [("red-car.png", None)]


def test_over_the_api(alice_client, bob_client, project):
    address = "/api/v1/projects/pairs/media"
    body = {"file": SimpleUploadedFile("x.webp", picture("WEBP")), "name": "one.webp"}
    made = alice_client.post(address, body)
    assert (made.status_code, made.json()["content_type"]) == (201, "image/webp")
    bad = alice_client.post(address, {"file": SimpleUploadedFile("x.svg", b"<svg/>")})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (400, "file")
    assert [row["name"] for row in alice_client.get(address).json()["results"]] == ["one.webp"]
    assert bob_client.get(address).status_code == 403
    assert alice_client.delete(f"{address}/one.webp").status_code == 204
    assert alice_client.get(address).json()["results"] == []


def test_texts_show_the_projects_own_images_and_no_others(alice_client, bob_client, make_item):
    upload(alice_client, picture())
    make_item(
        'Look: ![a "red" <b>](media:red-car.png)', ("![x](https://evil.example/a.png)", "![](media:../x)")
    )
    html = bob_client.get("/work/pairs/").content.decode()
    assert Assignment.objects.count() == 1
    assert (
        '<img src="/media/pairs/red-car.png" alt="a &quot;red&quot; &lt;b&gt;"'
        ' data-text="Image: a &quot;red&quot; &lt;b&gt; (media:red-car.png)" loading="lazy" decoding="async">'
    ) in html
    assert html.count("<img") == 1
    assert 'Image: x (<a href="https://evil.example/a.png"' in html


def test_offsets_into_a_text_do_not_depend_on_whether_its_images_are_shown():
    html = render_markdown("Before ![a](media:a.png) after.")
    assert plain_text(html) == "Before Image: a (media:a.png) after.\n"
    assert 'data-text="Image: a (media:a.png)"' in with_media(html, "/m/")


@pytest.mark.parametrize(
    "text",
    [
        '<span class="img-off img-media">Image: x (media:a.png)</span>',
        "[x](media:a.png)",
        '![a](media:a.png" onerror="alert(1))',
        "![<img src=x onerror=alert(1)>](media:a.png)",
        '!["><script>alert(1)</script>](media:a.png)',
    ],
)
def test_no_text_can_smuggle_more_than_an_image(text):
    shown = with_media(render_markdown(text), "/m/")
    assert "<script" not in shown
    assert "<img src=x" not in shown
    assert 'href="media:' not in shown
    assert shown.count("<img") == shown.count('<img src="/m/a.png" alt="')
