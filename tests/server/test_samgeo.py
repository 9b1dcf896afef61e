"""Requests as GeoLibre 1.0 sends them to samgeo-api 1.4, and answers as it reads them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from lhtclip import Segmenter
from tests.server.scene import SCENE

PROMPT = ", ".join(SCENE.names)
DATA = SCENE.image.read_bytes()


def ask(client: TestClient, data: bytes = DATA, **fields: str) -> Any:
    """Upload as GeoLibre's sidecar does: it streams the browser's form on, in chunks."""
    form = {"model_version": "sam3", "output_format": "geojson", "prompt": PROMPT} | fields
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in form.items()
    ]
    head = '--b\r\nContent-Disposition: form-data; name="file"; filename="image.tif"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + data + b"\r\n--b--\r\n"

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    kind = {"content-type": "multipart/form-data; boundary=b"}
    return client.post("/segment/text", content=chunks(), headers=kind)


def test_geolibre_finds_the_server_and_its_models(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "ok"
    models = client.get("/models").json()["models"]
    assert models == {"lhtclip": ["bundled"]}


def test_regions_are_those_of_the_library(client: TestClient, segmenter: Segmenter) -> None:
    wanted = segmenter.segment(SCENE.image, PROMPT, background="auto", threshold=0.5)
    features = ask(client, confidence_threshold="0.5").json()["features"]
    area = sum(each["properties"]["area"] for each in features)
    assert area == int(np.count_nonzero(wanted.labels))  # the background is no feature
    png = ask(client, output_format="png")
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(png.content))), wanted.labels)
    least, most = area // 100, max(each["properties"]["area"] for each in features) - 1
    found = ask(client, output_format="json", min_size=str(least), max_size=str(most)).json()
    sized = [each for each in features if least <= each["properties"]["area"] <= most]
    assert 0 < found["num_detections"] == len(sized) < len(features)
    boxes = [each["properties"]["bbox_pixel"] for each in sized]
    assert [each["bbox"] for each in found["detections"]] == boxes
    tiff = ask(client, output_format="geotiff")
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(tiff.content))), wanted.labels)


def test_one_word_does_not_cover_the_image(client: TestClient) -> None:
    features = ask(client, prompt=SCENE.names[0], confidence_threshold="0.5").json()["features"]
    height, width = np.array(Image.open(SCENE.image)).shape[:2]
    assert sum(each["properties"]["area"] for each in features) < height * width


def test_regions_of_a_geotiff_are_in_degrees(client: TestClient) -> None:
    """As rasterio transforms them; GeoLibre takes a collection without `crs` as WGS 84."""
    rasterio = pytest.importorskip("rasterio")
    warp = pytest.importorskip("rasterio.warp")
    pixels = np.moveaxis(np.array(Image.open(SCENE.image).convert("RGB")), 2, 0)
    transform = rasterio.Affine(0.5, 0.1, 389_000, 0.1, -0.5, 5_820_000)
    with rasterio.MemoryFile() as file:
        size = {"count": 3, "height": pixels.shape[1], "width": pixels.shape[2]}
        with file.open(
            driver="GTiff", dtype="uint8", crs="EPSG:32633", transform=transform, **size
        ) as target:
            target.write(pixels)
        data = file.read()
    plain = ask(client, confidence_threshold="0").json()
    placed = ask(client, data, confidence_threshold="0").json()
    assert "crs" not in placed
    assert len(placed["features"]) == len(plain["features"]) > 0
    for pixel, degree in zip(plain["features"], placed["features"], strict=True):
        on_grid = [
            [list(transform * tuple(point)) for point in ring]
            for ring in pixel["geometry"]["coordinates"]
        ]
        wanted = warp.transform_geom(
            "EPSG:32633", "EPSG:4326", {"type": "Polygon", "coordinates": on_grid}
        )
        for ours, theirs in zip(
            degree["geometry"]["coordinates"], wanted["coordinates"], strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)
    labels = ask(client, data, output_format="geotiff").content
    with rasterio.MemoryFile(labels) as file, file.open() as source:
        assert source.crs.to_epsg() == 32633
        assert source.transform.almost_equals(transform)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt": ""}, "prompt"),
        ({"output_format": "tiff"}, "geojson"),
        ({"confidence_threshold": "much"}, "confidence_threshold"),
        ({"confidence_threshold": "2"}, "confidence_threshold"),
        ({"min_size": "small"}, "min_size"),
    ],
)
def test_refusals_say_why(client: TestClient, fields: dict[str, str], said: str) -> None:
    answer = ask(client, **fields)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
